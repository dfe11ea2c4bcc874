"""A finished run of SASRec_SDA on the tiny data set, and helpers to compare two runs."""

import json
from pathlib import Path

import pytest

from recbole_sda.engine import experiment


@pytest.fixture
def keys(tiny_keys, tmp_path) -> dict:
    """Keys of a run of four epochs."""
    return {**tiny_keys, "epochs": 4, "runs_path": str(tmp_path / "runs")}


@pytest.fixture
def finished(keys, tmp_path):
    """An uninterrupted run of SASRec_SDA with dropout, and its folder."""
    folder = tmp_path / "whole"
    return experiment.run("SASRec_SDA", "tiny", (), {**keys, "run_dir": str(folder)}), folder


@pytest.fixture
def history():
    """A function: run folder -> the lines of its history without the times."""

    def lines(run_dir) -> list:
        found = [json.loads(line) for line in (Path(run_dir) / "history.jsonl").read_text().splitlines()]
        return [{k: v for k, v in line.items() if k != "seconds"} for line in found]

    return lines


@pytest.fixture
def comparable():
    """A function: result -> the parts of it that the machine's speed does not change."""
    parts = ("valid", "test", "best_epoch", "epochs_run", "parameters", "protocol")
    return lambda result: {k: result[k] for k in parts}
