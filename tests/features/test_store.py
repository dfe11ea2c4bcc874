"""The feature store: what is written is read back, by item token; an error names what is wrong."""

import json

import numpy as np
import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.manifest import FEATURES, ITEM_IDS, MANIFEST
from recbole_sda.features.store import FeatureStore, find_store, stored_sha256, write_store
from recbole_sda.io.hashes import sha256_of

IDS = ["b", "a", "c", "d"]


def test_round_trip(store, features):
    assert store.item_ids == IDS and store.modalities == ["image", "text"]
    assert store.matrix("image").dtype == torch.float32 and store.matrix("text").dtype == torch.float16
    assert store.present("image").tolist() == [True, True, False, True] and store.present("text").all()
    np.testing.assert_array_equal(store.matrix("text").numpy(), features["text"])
    np.testing.assert_array_equal(store.matrix("image").numpy()[[0, 1, 3]], features["image"][[0, 1, 3]])
    assert not store.matrix("image")[2].any()
    assert stored_sha256(store.path) == store.sha256


def test_align_by_token(store):
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


def test_the_padding_item_gets_no_features_even_if_the_store_has_its_token(store):
    assert not store.align(["b", "a"]).present[:, 0].any()


def test_any_number_of_modalities(tmp_path):
    one = FeatureStore(write_store(tmp_path / "one", ["x", "y"], {"audio": np.ones((2, 2), np.float32)}))
    assert one.align(["[PAD]", "y"]).present.shape == (1, 2)
    values = {f"m{k}": np.ones((2, k + 1), np.float32) for k in range(4)}
    assert FeatureStore(write_store(tmp_path / "four", ["x", "y"], values)).modalities == list(values)


def test_matrices_are_memory_mapped(tmp_path):
    """Opening a large store and reading one row does not load the matrix into memory."""
    import resource

    rows = 60_000
    path = write_store(tmp_path / "big", [str(k) for k in range(rows)], {"text": np.ones((rows, 1000), np.float32)})
    handle = FeatureStore(path, verify=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert handle.matrix("text")[rows - 1].sum() == 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 120_000  # KiB; the matrix has 234,000


@pytest.mark.parametrize("name", [FEATURES, ITEM_IDS, MANIFEST])
def test_missing_and_truncated_files(store, name):
    path = store.path / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
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
    """A store that other software wrote, with correct hashes and invalid values."""
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


def test_ids_that_do_not_match_are_named(store):
    with pytest.raises(
        InputError, match=r"has none of the data set's items: the data set's ids are 1, 2, ...; the store's b, a, c"
    ):
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
    assert find_store(tmp_path).path == store.path  # the first one
    assert find_store(tmp_path, "second").path.name == "second"
    with pytest.raises(InputError, match="no feature store in .*features import"):
        find_store(tmp_path / "elsewhere")


def test_white_space_around_a_token_does_not_matter(tmp_path):
    store = FeatureStore(write_store(tmp_path / "s", [" a\r", 7.0], {"text": np.array([[1.0], [2.0]], np.float32)}))
    assert store.item_ids == ["a", "7"] and store.rows(["7 ", "a", "b"]).tolist() == [1, 0, -1]


def test_an_encoder_can_be_a_name(tmp_path):
    path = write_store(
        tmp_path / "s", ["a", "b"], {"text": np.eye(2, dtype=np.float32)}, provenance={"encoder": "MiniLM"}
    )
    assert FeatureStore(path).manifest["encoder"] == {"model": "MiniLM"}


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda m: m["sha256"].update({"/dev/zero": "x"}), "sha256: '/dev/zero' is no file of a store"),
        (lambda m: m.update(n_items=9), "n_items=9, but item_ids.txt has 2 ids"),
        (lambda m: m["modalities"].update({"../x": m["modalities"]["text"]}), "modality='../x': expected a name"),
    ],
)
def test_manifests_that_lie(tmp_path, change, message):
    path = write_store(tmp_path / "s", ["a", "b"], {"text": np.ones((2, 3), np.float32)})
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=f"manifest.json: {message}"):
        FeatureStore(path)
