"""Writing a feature store: what the files contain, what is refused, and what an error leaves behind."""

import json

import numpy as np
import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.manifest import FEATURES, ITEM_IDS, MANIFEST
from recbole_sda.features.store import FeatureStore, write_store
from recbole_sda.io.hashes import sha256_of

IDS = ["b", "a", "c", "d"]


def test_the_manifest_records_the_origin_of_the_vectors(store):
    manifest = json.loads((store.path / MANIFEST).read_text())
    assert manifest["encoder"] == {"model": "m"} and manifest["prompt"] == "p"
    assert manifest["modalities"]["image"] == {"dim": 3, "dtype": "float32", "present": 3, "missing": 1}
    assert manifest["sha256"] == {name: sha256_of(store.path / name) for name in (FEATURES, ITEM_IDS)}
    assert {"numpy", "torch", "python", "recbole-sda"} <= set(manifest["versions"])


def test_same_content_gives_the_same_bytes(store, features, tmp_path):
    other = write_store(tmp_path / "other", IDS, features, {"image": store.present("image").numpy()})
    assert sha256_of(other / FEATURES) == store.features_sha256


def test_one_mask_may_serve_two_modalities(tmp_path):
    mask, x = torch.tensor([True, False]), np.ones((2, 3), np.float32)
    store = FeatureStore(
        write_store(tmp_path / "s", ["a", "b"], {"image": x, "text": x}, {"image": mask, "text": mask})
    )
    assert store.present("image").tolist() == store.present("text").tolist() == [True, False]


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(item_ids=["a", "b", "a", "d"]), "item id 'a' occurs more than once"),
        (dict(item_ids=["a", "b", "a ", "d"]), "item id 'a' occurs more than once"),
        (dict(item_ids=["a", "b", "", "d"]), "row 3: an id is missing"),
        (dict(item_ids=["a", "b", None, "d"]), "row 3: an id is missing"),
        (dict(item_ids=["a", "b", "[PAD]", "d"]), "row 3: .*stands for no item"),
        (dict(item_ids=["a", "b", "c"]), "has 4 rows and a mask bool .4,. for 3 item ids"),
        (dict(features={}), "at least one modality"),
        (dict(features={"im age": np.ones((4, 2), np.float32)}), "'im age' must be a plain word"),
        (dict(features={"image": np.ones((4, 2))}), "must be float16 or float32 .* got float64"),
        (dict(features={"image": np.ones(4, np.float32)}), "must be float16 or float32"),
        (dict(features={"image": np.full((4, 2), np.nan, np.float32)}), "NaN or infinite values in 4 rows, first 0"),
        (dict(features={"image": np.full((4, 2), np.inf, np.float16)}), "NaN or infinite"),
        (dict(present={"image": np.zeros(4, bool)}), "'image' is empty: no item has it"),
        (dict(present={"image": np.ones(3, bool)}), "4 rows and a mask bool .3,."),
        (dict(present={"text": np.ones(4, bool)}), "present: masks of text for image"),
        (dict(present={"image": "abcd"}), "present: image: expected an array of numbers, found a str"),
        (dict(item_ids="abcd"), "item ids: expected a list, found a str"),
        (dict(item_ids=None), "item ids: expected a list, found a NoneType"),
        (dict(features=[np.ones((4, 2), np.float32)]), "expected modalities with their vectors"),
        (dict(features={3: np.ones((4, 2), np.float32)}), "modality name 3 must be a plain word"),
        (dict(features={"image": np.full((4, 2), "x")}), "'image': expected an array of numbers, found a ndarray"),
        (dict(features={"image": [[1.0], [1.0, 2.0], [1.0], [1.0]]}), "'image': expected an array of numbers"),
        (dict(features={"image": None}), "'image': expected an array of numbers, found a NoneType"),
        (dict(features={"image": np.float32(3)}), "must be float16 or float32"),
        (dict(features={"image": np.ma.masked_greater(np.ones((4, 2), np.float32), 0)}), "expected a dense array"),
        (dict(features={"image": torch.eye(4).to_sparse()}), "expected a dense array"),
    ],
)
def test_refused_content_leaves_nothing_behind(tmp_path, change, message):
    given = {"item_ids": IDS, "features": {"image": np.ones((4, 2), np.float32)}, **change}
    with pytest.raises(InputError, match=message):
        write_store(tmp_path / "store", **given)
    assert not list(tmp_path.iterdir())


def test_a_vector_of_zeros_counts_as_missing(tmp_path, caplog):
    matrix = np.ones((4, 2), np.float32)
    matrix[2] = 0
    store = FeatureStore(write_store(tmp_path / "store", IDS, {"text": matrix}))
    assert (
        store.present("text").tolist() == [True, True, False, True]
        and store.manifest["modalities"]["text"]["missing"] == 1
    )
    assert "1 vectors of modality text are all zeros; these items count as missing" in caplog.text
    alike = FeatureStore(
        write_store(tmp_path / "alike", IDS, {"text": 0 * matrix})
    )  # such as images that are all the same
    assert alike.present("text").all()


def test_an_existing_store_is_replaced_only_when_asked(store, features):
    with pytest.raises(InputError, match="exists already.*--overwrite"):
        write_store(store.path, IDS, features)
    (store.path / "views").mkdir()
    (store.path / "views" / "old").touch()
    write_store(store.path, IDS, {"text": features["text"]}, overwrite=True)
    assert FeatureStore(store.path).modalities == ["text"]
    assert not (store.path / "views").exists()
    assert sorted(p.name for p in store.path.parent.iterdir()) == ["default.txt", "mine"]


def test_only_a_store_is_overwritten(tmp_path, features):
    (tmp_path / "Mine").mkdir()
    write_store(tmp_path / "Mine", IDS, features, overwrite=True)  # an empty folder
    (tmp_path / "data").mkdir()
    (tmp_path / "data/data.inter").write_text("precious")
    with pytest.raises(InputError, match="data is not a feature store .manifest.json is missing."):
        write_store(tmp_path / "data", IDS, features, overwrite=True)
    assert (tmp_path / "data/data.inter").read_text() == "precious"


def test_a_write_that_fails_keeps_the_old_store(store, features, monkeypatch):
    def full(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr("recbole_sda.features.writer.save_file", full)
    with pytest.raises(OSError):
        write_store(store.path, IDS, features, overwrite=True)
    assert FeatureStore(store.path).modalities == ["image", "text"]
    assert sorted(p.name for p in store.path.parent.iterdir()) == ["default.txt", "mine"]


def test_arrays_of_any_memory_layout_are_taken(tmp_path):
    values = np.arange(8, dtype=np.float32).reshape(4, 2) + 1
    views = {"a": values[::-1], "b": np.asfortranarray(values), "c": torch.tensor(values, requires_grad=True)}
    store = FeatureStore(write_store(tmp_path / "store", IDS, views))
    assert store.matrix("a").tolist() == values[::-1].tolist()
    assert store.matrix("b").tolist() == store.matrix("c").tolist() == values.tolist()
