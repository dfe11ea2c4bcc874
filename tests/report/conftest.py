"""Finished runs for the tests of reports."""

import pytest

from recbole_sda.engine import experiment


@pytest.fixture(scope="module")
def run_keys(data_path) -> dict:
    """Keys of a run of three epochs."""
    return {
        "data_path": str(data_path),
        "epochs": 3,
        "train_batch_size": 64,
        "use_gpu": False,
        "topk": [5, 10],
        "base_fallback": False,
        "threads": 1,
    }


@pytest.fixture(scope="module")
def runs(run_keys, tmp_path_factory):
    """Folders of four runs: a base and its SDA version, two seeds."""
    root = tmp_path_factory.mktemp("runs")
    folders = []
    for model in ("BPR", "BPR_SDA"):
        for seed in (1, 2):
            folders.append(root / f"{model}-{seed}")
            experiment.run(model, "tiny", (), {**run_keys, "seed": seed, "run_dir": str(folders[-1])})
    return folders
