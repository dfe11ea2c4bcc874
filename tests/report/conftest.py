"""Finished runs for the tests of reports."""

import pytest

from recbole_sda.engine import experiment


@pytest.fixture(scope="module")
def runs(data_path, tmp_path_factory):
    """Folders of four runs: a base and its SDA version, two seeds."""
    root = tmp_path_factory.mktemp("runs")
    keys = {
        "data_path": str(data_path),
        "epochs": 3,
        "train_batch_size": 64,
        "use_gpu": False,
        "topk": [5, 10],
        "base_fallback": False,
    }
    folders = []
    for model in ("BPR", "BPR_SDA"):
        for seed in (1, 2):
            folders.append(root / f"{model}-{seed}")
            experiment.run(model, "tiny", (), {**keys, "threads": 1, "seed": seed, "run_dir": str(folders[-1])})
    return folders
