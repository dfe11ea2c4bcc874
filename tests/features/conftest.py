"""A small store, written for each test."""

import numpy as np
import pytest

from recbole_sda.features.store import FeatureStore, write_store

IDS = ["b", "a", "c", "d"]


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return {"image": rng.normal(size=(4, 3)).astype(np.float32), "text": rng.normal(size=(4, 5)).astype(np.float16)}


@pytest.fixture
def store(tmp_path, features) -> FeatureStore:
    present = {"image": np.array([True, True, False, True])}
    path = write_store(
        tmp_path / "features" / "mine", IDS, features, present, {"encoder": {"model": "m"}, "prompt": "p"}
    )
    return FeatureStore(path)
