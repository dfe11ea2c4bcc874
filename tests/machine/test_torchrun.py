"""Data-parallel training in two processes on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.machine.torchrun import start, world_size

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


# Runs several scripts in the same two processes, since the libraries take longer to import than the scripts take to run.
SCRIPTS = """
import json, runpy, sys
from torch import distributed

for script, *arguments in json.loads(sys.argv[1]):
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        assert end.code == 0, (arguments, end.code)
    distributed.barrier()
    if distributed.get_rank() == 0:
        print("END OF SCRIPT", file=sys.stderr, flush=True)
    distributed.barrier()
"""
MODELS = ("BPR_SDA", "FREEDOM_SDA")


def torchrun(arguments, cwd):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    return done.stderr


@pytest.fixture(scope="module")
def finished(short_keys, tmp_path_factory):
    """The folder in which two processes trained models, loaded them and wrote gradients; and a log of each training."""
    folder = tmp_path_factory.mktemp("torchrun")
    (folder / "scripts.py").write_text(SCRIPTS)
    (folder / "step.py").write_text(STEP)
    command = str(ROOT / "run_recbole_sda.py")
    words = [f"--{key}={json.dumps(value)}" for key, value in {**short_keys, "epochs": 2}.items()]
    scripts = [[command, f"--model={model}", "--dataset=tiny", f"--run_dir={model}", *words] for model in MODELS]
    scripts += [[command, f"--load={model}"] for model in MODELS]
    keys = {**short_keys, "cmsa_weight": 0.0, "train_batch_size": 40, "checkpoint_dir": str(folder)}
    scripts += [[str(folder / "step.py"), json.dumps(keys), str(folder)]]
    log = torchrun([str(folder / "scripts.py"), json.dumps(scripts)], folder)
    return folder, dict(zip(MODELS, log.split("END OF SCRIPT")))


def test_gradients_are_the_mean_over_processes_and_every_target_is_seen(build, finished):
    folder, _ = finished
    (shared, *one), (shared_too, *other) = (torch.load(folder / f"rank{rank}.pt") for rank in (0, 1))
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


@pytest.mark.parametrize("model", MODELS)
def test_the_main_command_under_torchrun(model, finished):
    folder, logs = finished
    assert logs[model].count("epoch 2:") == 1 and logs[model].count("Hit@5".lower()) == 1
    result = json.loads((folder / model / "metrics.json").read_text())
    assert result["environment"]["processes"] == "2" and result["epochs_run"] == 2
    (evaluation,) = (folder / model).glob("evaluation-*.json")
    assert json.loads(evaluation.read_text())["test"] == pytest.approx(result["test"], abs=1e-6)


@pytest.mark.parametrize(
    "variables, message",
    [
        ({"WORLD_SIZE": "x"}, "WORLD_SIZE='x' in the environment: expected a whole number"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE='0' in the environment"),
        ({"WORLD_SIZE": "2"}, "LOCAL_RANK is not set: start the command with torchrun"),
    ],
)
def test_a_wrong_environment_is_named(monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message):
        start(use_gpu=False) if world_size() > 1 else None
