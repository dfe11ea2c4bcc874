"""Similarity by common users, against loops."""

import numpy as np
import pytest

from recbole_sda.graphs import cooccurrence
from recbole_sda.graphs.cooccurrence import cooccurrence_similarity


@pytest.fixture
def interactions():
    rng = np.random.default_rng(0)
    return rng.integers(1, 12, 80), rng.integers(1, 9, 80)


def slow(users, items, shrinkage):
    owners = {item: set(users[items == item].tolist()) for item in range(9)}
    result = np.zeros((9, 9))
    for i in range(9):
        for j in range(9):
            if i != j and owners[i] and owners[j]:
                result[i, j] = len(owners[i] & owners[j]) / (np.sqrt(len(owners[i]) * len(owners[j])) + shrinkage)
    return result


@pytest.mark.parametrize("shrinkage", [0.0, 3.0])
@pytest.mark.parametrize("block", [2, 4096])
def test_equals_loops(interactions, shrinkage, block, monkeypatch):
    monkeypatch.setattr(cooccurrence, "BLOCK_ITEMS", block)
    similarity = cooccurrence_similarity(*interactions, 12, 9, shrinkage)
    np.testing.assert_allclose(similarity.toarray(), slow(*interactions, shrinkage), rtol=1e-6)


@pytest.mark.parametrize("block", [2, 4096])
def test_the_k_largest_of_each_row(interactions, block, monkeypatch):
    monkeypatch.setattr(cooccurrence, "BLOCK_ITEMS", block)
    whole = cooccurrence_similarity(*interactions, 12, 9, 3.0).toarray()
    some = cooccurrence_similarity(*interactions, 12, 9, 3.0, k=2).toarray()
    for row, kept in zip(whole, some):
        assert sorted(kept[kept > 0]) == sorted(np.sort(row[row > 0])[-2:])


def test_items_of_nobody_have_no_neighbours():
    similarity = cooccurrence_similarity(np.array([1, 1]), np.array([1, 3]), 2, 5, 0.0)
    assert similarity.nnz == 2 and similarity[2].nnz == 0
