"""Shared data: a tiny data set with features, written once per session, and a way to build models on it."""

import json
import logging
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from recbole.utils import init_seed

from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.dataset_choice import ensure_sample
from recbole_sda.data.datasets import load_data
from recbole_sda.features.store import FeatureStore, write_store
from recbole_sda.model.registry import model_class

torch.set_num_threads(1)
# As from a terminal, also where a script in the background, which ignores Ctrl-C, runs the tests: their processes inherit it.
signal.signal(signal.SIGINT, signal.default_int_handler)

N_USERS, N_ITEMS = 43, 37  # with padding 44 and 38, sizes that no layer of a model has
# Off: what changes the id table or the targets of *_SDA models by default.
WAYS_OFF = {
    "id_start": "random",
    "id_smoothing": 0.0,
    "id_graph": "content",
    "id_smoothing_kappa": None,
    "soft_targets": 0.0,
    "min_content_lift": 0.0,
}
SMALL = {
    "epochs": 2,
    "train_batch_size": 64,
    "MAX_ITEM_LIST_LENGTH": 8,
    "use_gpu": False,
    "metrics": ["Hit", "NDCG"],
    "topk": [5, 10],
    "threads": 1,
}


def write_tiny(data_path: Path, name: str = "tiny", seed: int = 0) -> Path:
    """Write a data set of random interactions, with a feature store ``random`` (image 6-d, text 10-d, some missing)."""
    rng = np.random.default_rng(seed)
    folder = data_path / name
    folder.mkdir(parents=True)
    with open(folder / f"{name}.inter", "w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user in range(N_USERS):
            for t, item in enumerate(rng.permutation(N_ITEMS)[: rng.integers(5, 14)]):
                file.write(f"u{user}\ti{item}\t{t}\n")
    ids = [f"i{k}" for k in rng.permutation(N_ITEMS)]
    present = rng.random(N_ITEMS) > 0.15
    features = {
        "image": rng.normal(size=(N_ITEMS, 6)).astype(np.float32),
        "text": rng.normal(size=(N_ITEMS, 10)).astype(np.float16),
    }
    write_store(folder / "features" / "random", ids, features, {"image": present}, {"encoder": {"model": "random"}})
    return folder


def other_vectors(folder: Path) -> None:
    """Replace the vectors of the store ``random`` of a data set's folder."""
    store = FeatureStore(folder / "features" / "random")
    others = {name: store.matrix(name).numpy() * 2 for name in store.modalities}
    write_store(store.path, store.item_ids, others, {}, overwrite=True)


@pytest.fixture(autouse=True)
def own_log_handlers():
    """Remove the log handlers that a command adds: they write to a stream that pytest closes after the test."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    for handler in [handler for handler in root.handlers if type(handler).__module__ != "_pytest.logging"]:
        if handler not in before:
            root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(name="other_vectors")
def other_vectors_fixture():
    """The function that replaces the vectors of a data set's store."""
    return other_vectors


@pytest.fixture(name="write_tiny")
def write_tiny_fixture():
    """The function that writes a tiny data set below a folder."""
    return write_tiny


@pytest.fixture(scope="session")
def data_path(tmp_path_factory) -> Path:
    """A folder of data sets that holds ``tiny``."""
    root = tmp_path_factory.mktemp("dataset")
    write_tiny(root)
    return root


@pytest.fixture(scope="session")
def miniature_path(tmp_path_factory) -> Path:
    """A folder of data sets that holds the built-in miniature ``Amazon_Sports-sample``; tests only read it."""
    root = tmp_path_factory.mktemp("miniature")
    ensure_sample("Amazon_Sports-sample", root)
    return root


@pytest.fixture(scope="session")
def short_keys(data_path) -> dict:
    """Keys of a short run on ``tiny``, for fixtures of a wider scope than a test's."""
    # On random features a general model would be its base.
    return {**SMALL, "base_fallback": False, "data_path": str(data_path)}


@pytest.fixture
def tiny_keys(short_keys) -> dict:
    """Keys of a short run on ``tiny``, for a test to change."""
    return dict(short_keys)


class Builder:
    """Builds configurations, data and models on the tiny data set."""

    def __init__(self, data_path: Path, runs: Path):
        self.data_path, self.runs = data_path, runs

    def config(self, model: str, **keys) -> RunConfig:
        """Return the configuration of a model on ``tiny``."""
        given = {**SMALL, "data_path": str(self.data_path), "checkpoint_dir": str(self.runs), **keys}
        return RunConfig(model, "tiny", (), given)

    def __call__(self, name: str, **keys) -> SimpleNamespace:
        """Return a model with its data and its first training batch, all drawn from fixed seeds."""
        config = self.config(name, **keys)
        init_seed(3, True)
        data = load_data(config)
        batch = next(iter(data.train))
        init_seed(7, True)
        return SimpleNamespace(
            model=model_class(name)(config, data.train._dataset), data=data, batch=batch, config=config
        )


@pytest.fixture(scope="session")
def build(data_path, tmp_path_factory) -> Builder:
    """See :class:`Builder`."""
    return Builder(data_path, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A stand-in of the Hugging Face Hub, with a token and an empty cache of its own."""
    constants = pytest.importorskip("huggingface_hub.constants")
    from hub_server import TOKEN, Hub

    from recbole_sda.features.hub_store import hub_store

    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    hub_store.cache_clear()
    yield server
    server.close()
    hub_store.cache_clear()


@pytest.fixture
def items_file(tmp_path):
    """Six items with texts; two without a picture, one with a file that is no picture."""
    rng = np.random.default_rng(0)
    words = ["red drum", "blue drum", "green flute", "red flute", "old violin", "new violin"]
    lines = []
    for k, title in enumerate(words):
        image = f"p{k}.png"
        if k < 4:
            Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(tmp_path / image)
        elif k == 4:
            (tmp_path / image).write_text("not a picture")
        else:
            image = None
        lines.append({"item_id": f"i{k}", "title": title, "tags": ["music", f"t{k}"], "price": k, "image": image})
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    return path


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real data sets beside the checkout, or the one that RECBOLE_SDA_DATA names; skips where there is none."""
    here = os.environ.get("RECBOLE_SDA_DATA", str(Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not Path(here).is_dir():
        pytest.skip("no real data here")
    return Path(here)
