"""Real data beside the checkout: import its vectors, train, and compare with other items' features."""

import shutil

import numpy as np
import pytest

from recbole_sda import quick_start
from recbole_sda.features.sources import from_npy
from recbole_sda.features.store import write_store

pytestmark = pytest.mark.realdata


@pytest.fixture
def prepared(realdata, tmp_path):
    """Return a function that copies a data set's interactions and imports its vectors."""

    def prepare(name: str) -> str:
        source, folder = realdata / name, tmp_path / name
        if not source.is_dir():
            pytest.skip(f"no {name} here")
        folder.mkdir()
        shutil.copy(source / f"{name}.inter", folder)
        matrices = {p.name.removesuffix("_emb.npy"): str(p) for p in source.glob("*_emb.npy")}
        masks = {p.name.removesuffix("_present.npy"): str(p) for p in source.glob("*_present.npy")}
        vectors = from_npy(matrices, str(source / "item_ids.txt"), masks)
        write_store(folder / "features" / "given", vectors.item_ids, vectors.features, vectors.present)
        return str(tmp_path)

    return prepare


@pytest.mark.parametrize("name, epochs", [("Amazon_Instruments", 4), ("MovieLens_100k_Posters", 4)])
def test_features_without_ids_beat_the_features_of_other_items(prepared, tmp_path, name, epochs):
    keys = {
        "data_path": prepared(name), "runs_path": str(tmp_path / "runs"), "id_embedding": "none", "epochs": epochs,
        "train_batch_size": 4096, "learning_rate": 5e-3, "use_gpu": False, "threads": 1, "eval_batch_size": 1_000_000,
    }  # fmt: skip
    right, shuffled = (
        quick_start.run("BPR_SDA", name, (), {**keys, "shuffle_features": control})["test"] for control in (False, True)
    )
    assert right["hit@20"] > 1.1 * shuffled["hit@20"]
    assert np.isfinite(list(right.values())).all()
