"""Runs on a GPU: trained, interrupted and resumed, loaded, with reduced precision. Needs one: `pytest -m gpu`."""

import pytest
import torch

from recbole_sda.engine import experiment
from recbole_sda.engine.train_log import read_history
from recbole_sda.engine.trainer import RunTrainer
from recbole_sda.recommend.recommender import Recommender

pytestmark = pytest.mark.gpu

MODELS = [
    "SASRec_SDA", "GRU4Rec_SDA", "BERT4Rec_SDA", "BPR_SDA", "LightGCN_SDA", "ItemKNN", "EASE", "VBPR_SDA", "MMGCN_SDA", "BM3_SDA",
    "FREEDOM_SDA", "MGCN_SDA", "LGMRec_SDA", "SMORE_SDA", "SLMRec_SDA",
]  # fmt: skip


@pytest.fixture
def keys(tiny_keys, tmp_path):
    return {**tiny_keys, "use_gpu": True, "epochs": 4, "runs_path": str(tmp_path / "runs")}


@pytest.mark.parametrize("model", MODELS)
def test_a_run_is_evaluated_again_and_recommends(model, keys):
    result = experiment.run(model, "tiny", (), keys)
    assert result["environment"]["device"] != "cpu" and result["peak_memory_gib"]["gpu"] > 0
    assert experiment.evaluate(result["run_dir"])["test"] == pytest.approx(result["test"], abs=0.02)
    assert len(next(Recommender(result["run_dir"]).top(k=3))) > 0


@pytest.mark.parametrize("model", ["SASRec_SDA", "BPR_SDA", "FREEDOM_SDA", "MMGCN_SDA"])
def test_an_interrupted_run_is_resumed(model, keys, tmp_path, monkeypatch):
    """The order of sums on a GPU varies, so losses are close, not equal."""
    whole = experiment.run(model, "tiny", (), {**keys, "run_dir": str(tmp_path / "whole")})
    train_epoch, calls = RunTrainer._train_epoch, []

    def interrupted(self, train_data, epoch, *args, **kwargs):
        if epoch == 2 and not calls:
            calls.append(epoch)
            raise KeyboardInterrupt
        return train_epoch(self, train_data, epoch, *args, **kwargs)

    monkeypatch.setattr(RunTrainer, "_train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(model, "tiny", (), {**keys, "run_dir": str(tmp_path / "cut")})
    torch.cuda.manual_seed(99)
    resumed = experiment.resume(tmp_path / "cut")
    assert resumed["epochs_run"] == whole["epochs_run"]
    losses = [
        [line["loss"]["recommendation"] for line in read_history(tmp_path / name) if line["phase"] == "train"]
        for name in ("whole", "cut")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.parametrize("model", ["SASRec_SDA", "BPR_SDA", "MGCN_SDA", "MMGCN_SDA"])
def test_reduced_precision_gives_nearly_the_same_loss(model, keys):
    losses = []
    for amp in (False, True):
        result = experiment.run(model, "tiny", (), {**keys, "epochs": 1, "enable_amp": amp})
        losses.append(read_history(result["run_dir"])[0]["loss"]["recommendation"])
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_the_gpu_agrees_with_the_cpu(keys):
    """One epoch from the same start, without dropout."""
    losses = []
    for use_gpu in (False, True):
        given = {**keys, "epochs": 1, "use_gpu": use_gpu, "hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0}
        result = experiment.run("SASRec_SDA", "tiny", (), given)
        losses.append(read_history(result["run_dir"])[0]["loss"]["recommendation"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_compare_gives_each_run_a_share(keys, tmp_path, capsys):
    from recbole_sda.cli.experiments import main

    path = tmp_path / "plan.yaml"
    path.write_text("datasets: [tiny]\nseeds: [1, 2]\nmodels: {BPR: , BPR_SDA: {base: BPR}}\nmetrics: [hit@5]\n")
    given = {key: value for key, value in keys.items() if key not in ("metrics", "use_gpu", "runs_path")}
    words = ["compare", str(path), f"--out={tmp_path / 'out'}", "--parallel=2", "--gpus=0.5"]
    assert main([*words, *(f"--{k}={v}" for k, v in given.items())]) == 0
    assert "BPR_SDA" in capsys.readouterr().out
