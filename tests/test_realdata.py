"""Real data next to the checkout: import its vectors, train, and compare with other items' features."""

import csv
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from recbole_sda.engine import experiment
from recbole_sda.features.importers import from_npy
from recbole_sda.features.store import FeatureStore, write_store
from recbole_sda.lvlm.adaptation import run_adaptation
from recbole_sda.lvlm.extraction import run_extraction
from recbole_sda.lvlm.settings import read_settings
from recbole_sda.lvlm.tiny import make_tiny

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
        experiment.run("BPR_SDA", name, (), {**keys, "shuffle_features": control})["test"] for control in (False, True)
    )
    assert right["hit@20"] > 1.1 * shuffled["hit@20"]
    assert np.isfinite(list(right.values())).all()


def test_posters_and_texts_through_the_lvlm_stage(realdata, tmp_path):
    """Real posters and titles, a tiny random model: adapt, extract, train."""
    source, name = realdata / "MovieLens_100k_Posters", "MovieLens_100k_Posters"
    if not source.is_dir():
        pytest.skip(f"no {name} here")
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(source / f"{name}.inter", folder)
    (folder / "images").symlink_to(source / "images")
    table = pd.read_csv(source / f"{name}.item", sep="\t", dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)
    table.columns = [column.partition(":")[0] for column in table.columns]
    with open(folder / "items.jsonl", "w", encoding="utf-8") as file:
        for row in table.to_dict("records"):
            has_file = row["image"] and (source / "images" / row["image"]).is_file()
            image = f"images/{row['image']}" if has_file else None
            file.write(json.dumps({"item_id": row["item_id"], "title": row["title"], "image": image}) + "\n")
    keys = {"backbone": str(make_tiny("qwen2_5_vl", tmp_path / "tiny")), "items": str(folder / "items.jsonl")}
    keys |= {"dtype": "float32", "steps": 40, "eval_every": 40, "learning_rate": 5e-3, "threads": 1}
    best = run_adaptation(read_settings((), keys), tmp_path / "run")
    assert best["step"] == 40  # better than the backbone's own
    store = FeatureStore(
        run_extraction(read_settings((), {**keys, "adapter": str(tmp_path / "run")}), folder / "features" / "lvlm")
    )
    assert [int(store.present(m).sum()) for m in ("image", "text")] == [1663, 1682]
    assert all(row["padding"] < 0.11 for row in store.manifest["inputs"].values())
    run = {"data_path": str(tmp_path), "runs_path": str(tmp_path / "runs"), "epochs": 1, "use_gpu": False, "threads": 1}
    assert experiment.run("BPR_SDA", name, (), {**run, "train_batch_size": 4096})["test"]["hit@20"] > 0
