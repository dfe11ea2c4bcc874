"""The approximate index against exact search, and neighbours that it finds."""

import sys

import numpy as np
import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.graphs import knn
from recbole_sda.graphs.ann import AnnIndex
from recbole_sda.graphs.knn import cached_neighbours, nearest_neighbours

pytest.importorskip("faiss")


def test_all_lists_are_exact_and_few_are_not():
    rng = np.random.default_rng(0)
    items, queries = (rng.normal(size=(n, 12)).astype(np.float32) for n in (4000, 50))
    whole = AnnIndex(items, probed=10_000)
    rows, scores = whole.search(queries, 20)
    exact = queries @ items.T
    np.testing.assert_array_equal(rows, np.argsort(-exact, axis=1, kind="stable")[:, :20])
    np.testing.assert_allclose(scores, np.sort(exact, axis=1)[:, ::-1][:, :20], atol=1e-5)
    assert whole.recall(queries) == 1 and str(whole) == "faiss, 102 of 102 lists"
    few = AnnIndex(items, probed=3)
    by_hand = np.mean(
        [len(set(a[:10]) & set(b[:10])) / 10 for a, b in zip(rows.tolist(), few.search(queries, 10)[0].tolist())]
    )
    assert few.recall(queries) == pytest.approx(by_hand) and by_hand < 0.9


@pytest.fixture
def clustered():
    """2,000 items around 100 centres, and some without the modality."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 16))[rng.integers(100, size=2000)] + rng.normal(size=(2000, 16))
    present = torch.from_numpy(rng.random(2000) > 0.1)
    return torch.from_numpy(x).float(), present


def test_neighbours_of_all_lists_are_the_exact_ones(clustered):
    exact, found = (nearest_neighbours(*clustered, 6, search=search) for search in ("exact", "faiss"))
    assert torch.equal(exact.items, found.items) and torch.equal(exact.index, found.index)
    torch.testing.assert_close(exact.similarity, found.similarity)


def test_neighbours_of_few_lists_are_most_of_the_exact_ones(clustered, monkeypatch, caplog):
    monkeypatch.setattr(knn.AnnIndex.__init__, "__defaults__", (5,))
    with caplog.at_level("INFO"):
        found = nearest_neighbours(*clustered, 6, search="faiss")
    exact = nearest_neighbours(*clustered, 6)
    share = np.mean([len(set(a) & set(b)) / 6 for a, b in zip(exact.index.tolist(), found.index.tolist())])
    assert 0.8 < share < 1 and torch.equal(found.index[:, 0], found.items)
    text = f"nearest neighbours of {len(exact.items):,} items by faiss, 5 of 45 lists: recall@6 "
    assert text in caplog.text
    assert float(caplog.text.split("recall@6 ")[1].split()[0]) == pytest.approx(share, abs=0.05)


def test_rows_of_which_the_lists_have_too_few_are_exact(clustered, monkeypatch):
    monkeypatch.setattr(knn.AnnIndex.__init__, "__defaults__", (1,))
    found, exact = (nearest_neighbours(*clustered, 150, search=search) for search in ("faiss", "exact"))
    assert (found.index >= 0).all() and torch.isfinite(found.similarity).all()
    assert (found.index == exact.index).all(dim=1).float().mean() > 0.9  # a list has about 40 items
    assert nearest_neighbours(*clustered, 5000, search="faiss").index.shape == (len(exact.items),) * 2
    nobody = torch.zeros(2000, dtype=torch.bool)
    assert nearest_neighbours(clustered[0], nobody, 3, search="faiss").index.shape == (0, 0)


def test_the_cache_keeps_both_searches_apart(clustered, tmp_path):
    for search in ("exact", "faiss", "exact", "faiss"):
        cached_neighbours(tmp_path, *clustered, 4, search)
    assert len(list(tmp_path.iterdir())) == 2


def test_without_faiss(clustered, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match="approximate search needs faiss: pip install"):
        nearest_neighbours(*clustered, 4, search="faiss")
