import sys

import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.lvlm.api import extract
from recbole_sda.lvlm.tiny import make_tiny
from recbole_sda.lvlm.tiny_models.encoders import sentence_transformer

pytest.importorskip("sentence_transformers")


def matrices(path):
    store = FeatureStore(path)
    return {name: store.matrix(name) for name in store.modalities}


@pytest.mark.parametrize("family", ["embeddinggemma", "gemma3"])
def test_both_backends_give_the_same_vectors(tmp_path, catalogue_file, family):
    """For a model of images and texts the chat template is used by both."""
    torch.set_num_threads(1)
    folder = make_tiny(family, tmp_path / family)
    if family == "gemma3":
        sentence_transformer("lasttoken", "Represent it.", messages=True)(folder)
    keys = {"backbone": folder, "items": catalogue_file, "dtype": "float32", "store_dtype": "float32", "workers": 0}
    one = extract(out=tmp_path / "one", image_prompt="", **keys)
    two = extract(out=tmp_path / "two", backend="sentence_transformers", request_items=7, shard_items=20, **keys)
    first, second = matrices(one), matrices(two)
    assert list(first) == list(second) == (["text"] if family == "embeddinggemma" else ["image", "text"])
    for name in first:
        assert torch.allclose(first[name], second[name], atol=2e-5)
    m, other = FeatureStore(two).manifest, FeatureStore(one).manifest
    assert m["encoder"]["backend"] == "sentence_transformers" and m["encoder"]["modules"][:2] == [
        "Transformer",
        "Pooling",
    ]
    assert (
        m["instruction"] == other["instruction"] != ""
        and m["pooling"] == "model"
        and "sentence-transformers" in m["encoder"]
    )


def test_errors(tmp_path, catalogue_file, monkeypatch):
    keys = {"items": catalogue_file, "out": tmp_path / "store", "backend": "sentence_transformers"}
    with pytest.raises(InputError, match="nowhere: the folder does not exist"):
        extract(backbone="./nowhere", **keys)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty cannot be loaded") as caught:
        extract(backbone=tmp_path / "empty", **keys)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="backbone is missing"):
        extract(**keys)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(InputError, match=r"pip install 'recbole-sda\[sentence-transformers\]'"):
        extract(backbone=tmp_path / "empty", **keys)
