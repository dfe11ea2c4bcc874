"""Trained models for the tests of recommendations."""

import pytest

from recbole_sda.engine import experiment


@pytest.fixture(scope="module")
def trained(data_path, tmp_path_factory):
    """Return a function that trains a model on the tiny data set once."""
    made = {}
    keys = {
        "data_path": str(data_path),
        "epochs": 2,
        "train_batch_size": 64,
        "MAX_ITEM_LIST_LENGTH": 8,
        "use_gpu": False,
        "base_fallback": False,
    }

    def train(model, **more):
        name = (model, str(sorted(more.items())))
        if name not in made:
            folder = tmp_path_factory.mktemp("runs") / "run"
            experiment.run(model, "tiny", (), {**keys, **more, "topk": [5, 10], "threads": 1, "run_dir": str(folder)})
            made[name] = folder
        return made[name]

    return train
