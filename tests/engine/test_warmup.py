"""Learning-rate warm-up: the rates of all optimizers and groups, and exact resumption inside of it."""

import pytest
import torch

from recbole_sda.engine import experiment
from recbole_sda.engine.optimizers import DenseAndSparse
from recbole_sda.engine.warmup import LinearWarmup


def test_each_group_and_optimizer_has_its_own_rate():
    a, b, c = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    dense = torch.optim.Adam([{"params": [a]}, {"params": [b], "lr": 0.1}], lr=1.0)
    both = DenseAndSparse(dense, torch.optim.SGD([c], lr=0.5))
    LinearWarmup([both], 2)
    rates = []
    for _ in range(3):
        both.step()
        rates.append([group["lr"] for group in both.param_groups])
    assert rates == [[0.5, 0.05, 0.25], [1.0, 0.1, 0.5], [1.0, 0.1, 0.5]]


def test_without_steps_the_rate_stays():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.3)
    LinearWarmup([optimizer], 0)
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.3


def test_a_run_is_resumed_inside_its_warm_up(tiny_keys, tmp_path):
    keys = {**tiny_keys, "warmup_epochs": 2.5, "epochs": 4}
    whole = experiment.run("SASRec_SDA", "tiny", (), {**keys, "run_dir": str(tmp_path / "whole")})
    experiment.run("SASRec_SDA", "tiny", (), {**keys, "epochs": 1, "run_dir": str(tmp_path / "parts")})
    parts = experiment.resume(tmp_path / "parts", {"epochs": 4})
    assert parts["test"] == whole["test"] and parts["valid"] == whole["valid"]


def test_the_key_reaches_the_optimizer(build, tmp_path):
    run = experiment.build(build.config("BPR", warmup_epochs=3, epochs=1, learning_rate=0.03), tmp_path)
    run.trainer.fit(run.data.train, run.data.valid)
    assert run.trainer.optimizer.param_groups[0]["lr"] == pytest.approx(
        0.03 * len(run.data.train) / (3 * len(run.data.train))
    )
