"""``features=hf://...``: a run reads a store of the Hub, at one commit."""

import numpy as np
import pytest

from recbole_sda.engine import experiment
from recbole_sda.engine.run import configure
from recbole_sda.errors import InputError
from recbole_sda.features.hub_store import hub_store
from recbole_sda.features.store import FeatureStore, find_store, write_store
from recbole_sda.hub.push import push
from recbole_sda.io.yaml import read_yaml
from recbole_sda.recommend.recommender import Recommender


@pytest.fixture
def commit(hub, data_path):
    return push(data_path / "tiny/features/random", "shop/vectors").rpartition("@")[2]


def test_find_store_reads_it(commit, data_path, tmp_path):
    store = find_store(tmp_path, "hf://shop/vectors")
    assert store.sha256 == FeatureStore(data_path / "tiny/features/random").sha256
    assert hub_store("hf://shop/vectors").pinned == f"hf://shop/vectors@{commit}"


def test_a_run_is_pinned_and_resumes_with_the_same_bytes(commit, hub, data_path, tiny_keys, tmp_path, write_tiny):
    keys = {**tiny_keys, "features": "hf://shop/vectors", "run_dir": str(tmp_path / "run"), "epochs": 1}
    result = experiment.run("BPR_SDA", "tiny", overrides=keys)
    pinned = f"hf://shop/vectors@{commit}"
    assert read_yaml(tmp_path / "run/config.yaml")["features"] == result["features"]["store"] == pinned
    local = experiment.run(
        "BPR_SDA", "tiny", overrides={**keys, "features": "random", "run_dir": str(tmp_path / "local")}
    )
    assert local["test"] == result["test"]
    assert local["inputs"] == result["inputs"]

    other = write_tiny(tmp_path / "other", seed=1)
    push(other / "features/random", "shop/vectors")
    hub_store.cache_clear()
    assert configure("BPR_SDA", "tiny", (), keys).resolved["features"] != pinned
    hub.close()  # the pinned commit is read from the cache
    assert experiment.resume(tmp_path / "run", {"epochs": 2})["features"]["store"] == pinned


@pytest.mark.parametrize("model", ["SASRec_SDA", "BM3"])
def test_graphs_are_kept_with_the_store_and_new_items_find_it(
    commit, model, data_path, tiny_keys, tmp_path, monkeypatch
):
    """BM3's and soft targets' neighbours were written into a folder hf: of the working directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    keys = {**tiny_keys, "features": "hf://shop/vectors", "run_dir": str(tmp_path / "run"), "epochs": 1}
    experiment.run(model, "tiny", overrides=keys)
    assert list((tmp_path / "work").iterdir()) == []
    new = tmp_path / "new"
    store = FeatureStore(data_path / "tiny/features/random")
    write_store(
        new,
        ["n1"],
        {name: store.matrix(name)[:1].numpy() for name in store.modalities},
        {},
        {"encoder": store.manifest["encoder"]},
    )
    recommender = Recommender(tmp_path / "run", new)
    assert recommender.columns[-1] == "n1" and np.isfinite(recommender.scores(["u1"])["n1"]).all()


def test_a_flipped_byte_is_found(commit, data_path, tmp_path):
    path = hub_store("hf://shop/vectors").path
    for name, message in (("features.safetensors", "truncated or changed"), ("manifest.json", "is damaged")):
        blob = (path / name).resolve()
        before = blob.read_bytes()
        content = bytearray(before)
        content[len(content) // 2] ^= 1
        blob.write_bytes(content)
        hub_store.cache_clear()
        with pytest.raises(InputError, match=message):
            find_store(tmp_path, "hf://shop/vectors")
        blob.write_bytes(before)


def test_a_repository_that_is_no_store(hub, data_path, tmp_path):
    import huggingface_hub

    huggingface_hub.HfApi(endpoint=hub.url).create_repo("shop/empty", repo_type="dataset")
    with pytest.raises(InputError, match="features shop/empty: commit 000000000000 has no manifest.json"):
        find_store(tmp_path, "hf://shop/empty")
    with pytest.raises(InputError, match="features='hf://empty': expected owner/name"):
        find_store(tmp_path, "hf://empty")


def test_views_of_a_store_of_the_hub(commit, tmp_path):
    from recbole_sda.features.transforms import view

    matrix = view(find_store(tmp_path, "hf://shop/vectors"), "text", ["center", "l2"])
    norms = np.linalg.norm(matrix.numpy(), axis=1)
    assert np.allclose(norms[norms > 0], 1, atol=1e-5)
