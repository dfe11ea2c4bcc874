"""The feature store: what is written is what is read, by item token, or an error says why not."""

import json

import numpy as np
import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.store import FEATURES, ITEM_IDS, MANIFEST, FeatureStore, find_store, sha256_of, write_store

IDS = ["b", "a", "c", "d"]


def test_round_trip(store, features):
    assert store.item_ids == IDS and store.modalities == ["image", "text"]
    assert store.matrix("image").dtype == torch.float32 and store.matrix("text").dtype == torch.float16
    assert store.present("image").tolist() == [True, True, False, True] and store.present("text").all()
    np.testing.assert_array_equal(store.matrix("text").numpy(), features["text"])
    np.testing.assert_array_equal(store.matrix("image").numpy()[[0, 1, 3]], features["image"][[0, 1, 3]])
    assert not store.matrix("image")[2].any()


def test_manifest_says_where_the_vectors_come_from(store):
    manifest = json.loads((store.path / MANIFEST).read_text())
    assert manifest["encoder"] == {"model": "m"} and manifest["prompt"] == "p"
    assert manifest["modalities"]["image"] == {"dim": 3, "dtype": "float32", "present": 3, "missing": 1}
    assert manifest["sha256"] == {name: sha256_of(store.path / name) for name in (FEATURES, ITEM_IDS)}
    assert {"numpy", "torch", "python", "recbole-sda"} <= set(manifest["versions"])


def test_same_content_gives_the_same_bytes(store, features, tmp_path):
    other = write_store(tmp_path / "other", IDS, features, {"image": store.present("image").numpy()})
    assert sha256_of(other / FEATURES) == store.features_sha256


def test_align_goes_by_token(store):
    tokens = ["[PAD]", "d", "unknown", "c", "b"]
    aligned = store.align(tokens)
    assert aligned.modalities == ["image", "text"] and aligned.without_row == ["unknown"]
    assert aligned.present.tolist() == [[False, True, False, False, True], [False, True, False, True, True]]
    for m, name in enumerate(aligned.modalities):
        matrix = aligned.matrices[name]
        assert matrix.dtype == torch.float32
        for position, token in enumerate(tokens):
            row = store.matrix(name)[IDS.index(token)].float() if aligned.present[m, position] else torch.zeros(1)
            assert torch.equal(matrix[position], row.expand_as(matrix[position])), (name, token)


def test_the_padding_item_gets_nothing_even_if_a_token_is_called_so(store):
    assert not store.align(["b", "a"]).present[:, 0].any()


def test_any_number_of_modalities(tmp_path):
    one = FeatureStore(write_store(tmp_path / "one", ["x", "y"], {"audio": np.ones((2, 2), np.float32)}))
    assert one.align(["[PAD]", "y"]).present.shape == (1, 2)
    values = {f"m{k}": np.ones((2, k + 1), np.float32) for k in range(4)}
    assert FeatureStore(write_store(tmp_path / "four", ["x", "y"], values)).modalities == list(values)


def test_one_mask_may_serve_two_modalities(tmp_path):
    mask, x = torch.tensor([True, False]), np.ones((2, 3), np.float32)
    found = FeatureStore(
        write_store(tmp_path / "s", ["a", "b"], {"image": x, "text": x}, {"image": mask, "text": mask})
    )
    assert found.present("image").tolist() == found.present("text").tolist() == [True, False]


def test_matrices_are_memory_mapped(tmp_path):
    """Opening and reading one row of a large store must not read it whole into memory."""
    import resource

    rows = 60_000
    path = write_store(tmp_path / "big", [str(k) for k in range(rows)], {"text": np.ones((rows, 1000), np.float32)})
    handle = FeatureStore(path, verify=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert handle.matrix("text")[rows - 1].sum() == 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 120_000  # KiB; the matrix has 234,000


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(item_ids=["a", "b", "a", "d"]), "item id 'a' stands there more than once"),
        (dict(item_ids=["a", "b", "", "d"]), "item id '' is empty or holds a line break"),
        (dict(item_ids=["a", "b", "c\n", "d"]), "holds a line break"),
        (dict(item_ids=["a", "b", "c"]), "has 4 rows and a mask of 4 for 3 item ids"),
        (dict(features={}), "at least one modality"),
        (dict(features={"im age": np.ones((4, 2), np.float32)}), "'im age' must be a plain word"),
        (dict(features={"image": np.ones((4, 2))}), "must be float16 or float32 .* got float64"),
        (dict(features={"image": np.ones(4, np.float32)}), "must be float16 or float32"),
        (dict(features={"image": np.full((4, 2), np.nan, np.float32)}), "NaN or infinite values in 4 rows, first 0"),
        (dict(features={"image": np.full((4, 2), np.inf, np.float16)}), "NaN or infinite"),
        (dict(present={"image": np.zeros(4, bool)}), "'image' is empty: no item has it"),
        (dict(present={"image": np.ones(3, bool)}), "4 rows and a mask of 3"),
    ],
)
def test_what_is_refused_on_write_leaves_nothing_behind(tmp_path, change, message):
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
    assert "1 vectors of text are all zero: these items count as without it" in caplog.text
    alike = FeatureStore(
        write_store(tmp_path / "alike", IDS, {"text": 0 * matrix})
    )  # as pictures that are all the same
    assert alike.present("text").all()


def test_an_existing_store_is_replaced_only_when_asked(store, features):
    with pytest.raises(InputError, match="exists already.*--overwrite"):
        write_store(store.path, IDS, features)
    (store.path / "views").mkdir()
    (store.path / "views" / "old").touch()
    write_store(store.path, IDS, {"text": features["text"]}, overwrite=True)
    assert FeatureStore(store.path).modalities == ["text"]
    assert not (store.path / "views").exists()
    assert [p.name for p in store.path.parent.iterdir()] == ["mine"]


def test_only_a_store_is_overwritten(tmp_path, features):
    (tmp_path / "Mine").mkdir()
    write_store(tmp_path / "Mine", IDS, features, overwrite=True)  # an empty folder holds nothing to lose
    (tmp_path / "data").mkdir()
    (tmp_path / "data/data.inter").write_text("precious")
    with pytest.raises(InputError, match="data is no feature store .manifest.json is missing."):
        write_store(tmp_path / "data", IDS, features, overwrite=True)
    assert (tmp_path / "data/data.inter").read_text() == "precious"


def test_a_write_that_fails_keeps_the_old_store(store, features, monkeypatch):
    def full(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr("recbole_sda.features.store.save_file", full)
    with pytest.raises(OSError):
        write_store(store.path, IDS, features, overwrite=True)
    assert FeatureStore(store.path).modalities == ["image", "text"]
    assert [p.name for p in store.path.parent.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", [FEATURES, ITEM_IDS, MANIFEST])
def test_missing_and_truncated_files(store, name):
    path = store.path / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=f"{name} is (truncated|damaged)"):
        FeatureStore(store.path)
    path.unlink()
    with pytest.raises(InputError, match=f"not a feature store: {name} is missing"):
        FeatureStore(store.path)


def test_without_hashes_a_truncated_file_is_still_refused(store):
    path = store.path / FEATURES
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="damaged"):
        FeatureStore(store.path, verify=False)


def test_nan_is_refused_on_read(store, features):
    """A store made by other software, with right hashes and wrong values."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(store.path / FEATURES)
    tensors["text"][1, 0] = float("nan")
    save_file(tensors, store.path / FEATURES)
    manifest = json.loads((store.path / MANIFEST).read_text())
    manifest["sha256"][FEATURES] = sha256_of(store.path / FEATURES)
    (store.path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="'text' has NaN or infinite values in 1 rows, first 1"):
        FeatureStore(store.path)


def test_other_schema_versions_are_refused(store):
    manifest = json.loads((store.path / MANIFEST).read_text())
    (store.path / MANIFEST).write_text(json.dumps({**manifest, "schema_version": 99}))
    with pytest.raises(InputError, match="schema version 99; this version reads 1"):
        FeatureStore(store.path)


def test_ids_that_do_not_match_are_shown(store):
    with pytest.raises(InputError, match=r"knows none of the data set's items: items are 1, 2, ...; ids there b, a, c"):
        store.align(["[PAD]", "1", "2"])


def test_a_modality_that_no_item_has_is_refused(store):
    with pytest.raises(InputError, match="no item of the data set has modality 'image'"):
        store.align(["[PAD]", "c"])


def test_names_of_modalities(store):
    assert store.check_modalities(None) == ["image", "text"] and store.check_modalities(["text"]) == ["text"]
    with pytest.raises(InputError, match="no modality 'txt'; it has image, text. Did you mean 'text'"):
        store.check_modalities(["txt"])


def test_find_store(store, features, tmp_path):
    assert find_store(tmp_path).path == store.path
    with pytest.raises(InputError, match="no feature store 'min' .* Did you mean 'mine'"):
        find_store(tmp_path, "min")
    write_store(tmp_path / "features" / "second", IDS, features)
    with pytest.raises(InputError, match="several feature stores .mine, second.*--features=NAME"):
        find_store(tmp_path)
    assert find_store(tmp_path, "second").path.name == "second"
    with pytest.raises(InputError, match="no feature store in .*features import"):
        find_store(tmp_path / "elsewhere")
