"""A small store and an items file, written anew for each test."""

import json

import numpy as np
import pytest
from PIL import Image

from recbole_sda.features.store import FeatureStore, write_store

IDS = ["b", "a", "c", "d"]


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return {"image": rng.normal(size=(4, 3)).astype(np.float32), "text": rng.normal(size=(4, 5)).astype(np.float16)}


@pytest.fixture
def store(tmp_path, features) -> FeatureStore:
    present = {"image": np.array([True, True, False, True])}
    path = write_store(tmp_path / "features" / "mine", IDS, features, present, {"encoder": {"model": "m"}, "prompt": "p"})
    return FeatureStore(path)


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
