"""Similarity by common users, against loops."""

import numpy as np
import pytest

from recbole_sda.graphs import cooccurrence
from recbole_sda.graphs.cooccurrence import cached_similarity, cooccurrence_similarity


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
@pytest.mark.parametrize("block", [1, 20, 2**24])
def test_equals_loops(interactions, shrinkage, block, monkeypatch):
    monkeypatch.setattr(cooccurrence, "BLOCK_ENTRIES", block)
    similarity = cooccurrence_similarity(*interactions, 12, 9, shrinkage)
    np.testing.assert_allclose(similarity.toarray(), slow(*interactions, shrinkage), rtol=1e-6)


@pytest.mark.parametrize("block", [1, 20, 2**24])
def test_the_k_largest_of_each_row(interactions, block, monkeypatch):
    monkeypatch.setattr(cooccurrence, "BLOCK_ENTRIES", block)
    whole = cooccurrence_similarity(*interactions, 12, 9, 3.0).toarray()
    some = cooccurrence_similarity(*interactions, 12, 9, 3.0, k=2).toarray()
    for row, kept in zip(whole, some):
        assert sorted(kept[kept > 0]) == sorted(np.sort(row[row > 0])[-2:])


def test_items_of_nobody_have_no_neighbours():
    similarity = cooccurrence_similarity(np.array([1, 1]), np.array([1, 3]), 2, 5, 0.0)
    assert similarity.nnz == 2 and similarity[2].nnz == 0


@pytest.mark.parametrize("limit", [1, 40, 10**9])
def test_blocks_hold_all_rows_and_few_entries(interactions, limit, monkeypatch):
    monkeypatch.setattr(cooccurrence, "BLOCK_ENTRIES", limit)
    seen = []
    largest = cooccurrence._largest
    monkeypatch.setattr(
        cooccurrence, "_largest", lambda *args: seen.append((args[3][0], len(args[0]))) or largest(*args)
    )
    cooccurrence_similarity(*interactions, 12, 9, 3.0)
    assert sum(rows for rows, _ in seen) == 9
    assert all(entries <= limit for rows, entries in seen if rows > 1) and (limit < 10**9 or len(seen) == 1)


def test_cache_depends_on_all_arguments(interactions, tmp_path, monkeypatch):
    calls = []
    build = cooccurrence._similarity
    monkeypatch.setattr(cooccurrence, "_similarity", lambda *args: calls.append(1) or build(*args))
    users, items = interactions
    order = np.random.default_rng(1).permutation(len(users))
    first = cached_similarity(tmp_path, users, items, 12, 9, 3.0, 2)
    again = cached_similarity(tmp_path, users[order], items[order], 12, 9, 3.0, 2)
    assert len(calls) == 1 and (first != again).nnz == 0 and again.dtype == np.float32
    expected = cooccurrence_similarity(users, items, 12, 9, 3.0, 2)
    for name in ("data", "indices", "indptr"):
        assert (getattr(again, name) == getattr(expected, name)).all()
    calls.clear()
    others = [(users[1:], items[1:], 12, 9, 3.0, 2), (users, items, 13, 9, 3.0, 2), (users, items, 12, 10, 3.0, 2)]
    for change in [*others, (users, items, 12, 9, 2.0, 2), (users, items, 12, 9, 3.0, None)]:
        cached_similarity(tmp_path, *change)
    assert len(calls) == 5 and len(list(tmp_path.iterdir())) == 6
    cached_similarity(None, users, items, 12, 9, 3.0, 2)
    assert len(calls) == 6 and len(list(tmp_path.iterdir())) == 6
