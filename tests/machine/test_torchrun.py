"""Data-parallel training in two processes on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
STEP = """
import copy, json, sys
import torch
from torch import distributed
from recbole_sda.engine import experiment
from recbole_sda.config.run_config import RunConfig

keys, out = json.loads(sys.argv[1]), sys.argv[2]
config = RunConfig("SASRec_SDA", "tiny", (), keys)
run = experiment.build(config, __import__("pathlib").Path(out) / "run")
model, trainer = run.model, run.trainer
batches = list(run.data.train)
model.eval()
trainer.set_reduce_hook()
loss = model.calculate_loss(batches[0])
(loss + trainer.sync_grad_loss()).backward()
shared = {n: p.grad.clone() for n, p in model.named_parameters()}
model.zero_grad()
model.calculate_loss(batches[0]).backward()
alone = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
items = torch.cat([batch["item_id"][batch["item_id"] > 0] for batch in batches])
torch.save((shared, alone, items, len(batches)), f"{out}/rank{distributed.get_rank()}.pt")
"""


def torchrun(arguments, cwd):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    return done.stderr


def test_gradients_are_the_mean_over_processes_and_every_target_is_seen(build, tiny_keys, tmp_path):
    script = tmp_path / "step.py"
    script.write_text(STEP)
    keys = {**tiny_keys, "cmsa_weight": 0.0, "train_batch_size": 40, "checkpoint_dir": str(tmp_path)}
    torchrun([str(script), json.dumps(keys), str(tmp_path)], tmp_path)
    (shared, *one), (shared_too, *other) = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    alone, items, n_batches = one
    assert n_batches == other[2] > 2
    for name, gradient in shared.items():
        torch.testing.assert_close(gradient, shared_too[name])
        if name in alone:
            torch.testing.assert_close(gradient, (alone[name] + other[0][name]) / 2)
    assert not torch.equal(alone["position_embedding.weight"], other[0]["position_embedding.weight"])
    wanted = build("SASRec", fast_sequences=False).data.train._dataset.inter_feat["item_id"]
    seen = torch.cat([items, other[1]])
    assert len(wanted) <= len(seen) <= len(wanted) + 40
    assert (seen.bincount(minlength=99) >= wanted.bincount(minlength=99)).all()


@pytest.mark.parametrize("model", ["BPR_SDA", "FREEDOM_SDA"])
def test_the_main_command_under_torchrun(model, tiny_keys, tmp_path):
    keys = {**tiny_keys, "run_dir": "run", "epochs": 2}
    arguments = [f"--{key}={json.dumps(value)}" for key, value in keys.items()]
    log = torchrun([str(ROOT / "run_recbole_sda.py"), f"--model={model}", "--dataset=tiny", *arguments], tmp_path)
    assert log.count("epoch 2:") == 1 and log.count("Hit@5".lower()) == 1
    result = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert result["environment"]["processes"] == "2" and result["epochs_run"] == 2
    load = [str(ROOT / "run_recbole_sda.py"), "--load=run"]
    torchrun(load, tmp_path)
    (evaluation,) = (tmp_path / "run").glob("evaluation-*.json")
    assert json.loads(evaluation.read_text())["test"] == pytest.approx(result["test"], abs=1e-6)
