"""Plans and run folders for the tests of comparisons."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from recbole_sda.comparison.plan import Plan
from recbole_sda.comparison.planned_evaluation import TRAINED
from recbole_sda.comparison.planned_run import ModelEntry
from recbole_sda.io.hashes import sha256_of

N = 60
PROTOCOL = {
    "loss": "CE",
    "split": "leave-one-out",
    "evaluation": {"test": "full sort"},
    "items": 99,
    "selection": "NDCG@10 on validation data",
}
PLAN = {
    "datasets": ["tiny"],
    "seeds": [1, 2],
    "keys": {"epochs": 3},
    "dataset_keys": {"tiny": {"learning_rate": 0.01, "epochs": 2}},
    "models": {
        "aligned": {
            "model": "BPR_SDA",
            "base": "BPR",
            "keys": {"alignment_run": {"row": "BPR"}, "learning_rate": 0.02},
        },
        "BPR": None,
    },
}


def _write_run(folder: Path, ranks, users=None, tail=None, item="i") -> None:
    folder.mkdir(parents=True)
    users = [f"u{k}" for k in range(len(ranks))] if users is None else users
    tail = np.arange(len(ranks)) < 10 if tail is None else tail
    items = [f"{item}{k}" for k in range(len(ranks))]
    table = pd.DataFrame({"row": range(len(ranks)), "user_id": users, "item_id": items, "rank": ranks, "tail": tail})
    table["popularity"] = np.where(np.arange(len(ranks)) % 3 == 0, 0, 5)
    table.to_parquet(folder / "ranks-test.parquet")
    hit = float((np.asarray(ranks) <= 10).mean())
    content = {
        "test": {"hit@10": hit},
        "dataset": "d",
        "protocol": PROTOCOL,
        "seconds": {"training": 6.0},
        "model": "BPR",
        "groups": {},
        "environment": {},
        "best_epoch": 2,
        "epochs_run": 3,
        "parameters": 5,
    }
    (folder / "metrics.json").write_text(json.dumps(content))


def _write_evaluation(folder: Path, name: str, ranks, **protocol) -> None:
    _write_run(folder / "protocols" / name, ranks)
    path = folder / "protocols" / name / "metrics.json"
    content = json.loads(path.read_text())
    content["protocol"].update(protocol)
    path.write_text(json.dumps({**content, TRAINED: sha256_of(folder / "metrics.json")}))


@pytest.fixture
def write_evaluation():
    """The function that writes the evaluation of a finished run under a further protocol."""
    return _write_evaluation


@pytest.fixture
def write_run():
    """The function that writes a finished run with given ranks of the right items."""
    return _write_run


@pytest.fixture
def plan(tmp_path) -> Plan:
    """A plan with finished runs: three rows, two seeds; ranks are drawn, those of ``ours`` are better."""
    rng = np.random.default_rng(0)
    entries = tuple(
        ModelEntry(name, "BPR", None if name == "base" else "base", {}) for name in ("base", "ours", "same_as")
    )
    for name, shift in (("base", 0), ("ours", 8), ("same_as", 0)):
        for seed in (1, 2):
            ranks = np.maximum(np.random.default_rng(seed).integers(1, 40, N) - shift * rng.integers(0, 2, N), 1)
            _write_run(tmp_path / "d" / name / f"seed{seed}", ranks)
    return Plan("T", "about", entries, ("d",), (1, 2), {}, {}, ("hit@10", "ndcg@10"), "holm", tmp_path)


@pytest.fixture
def plan_of(tiny_keys, tmp_path):
    """A function that makes a plan of model entries on the tiny data set, without runs."""

    def make(*entries, seeds=(1,), out="out") -> Plan:
        return Plan("t", "", entries, ("tiny",), seeds, tiny_keys, {}, ("hit@10", "ndcg@10"), "holm", tmp_path / out)

    return make


@pytest.fixture
def plan_file(tmp_path):
    """A function that writes a plan's YAML file, with changed keys."""

    def write(**changes) -> Path:
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump({**PLAN, **changes}))
        return path

    return write
