"""Nearest neighbours and their graphs equal loops over all pairs; missing modalities; the cache."""

import numpy as np
import pytest
import torch

from recbole_sda.graphs import knn
from recbole_sda.graphs.knn import (
    cached_neighbours,
    elementwise_max,
    item_graph,
    nearest_among,
    nearest_neighbours,
    weighted_sum,
)


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    x, present = torch.randn(9, 4, generator=generator), torch.ones(9, dtype=torch.bool)
    present[[0, 5]] = False
    return x, present


def slow_neighbours(x, present, k):
    nearest = {}
    for i in range(len(x)):
        if present[i]:
            others = [j for j in range(len(x)) if present[j]]
            cosine = {j: float(x[i] @ x[j] / (x[i].norm() * x[j].norm())) for j in others}
            nearest[i] = sorted(others, key=lambda j: -cosine[j])[:k]
    return nearest


@pytest.mark.parametrize("block", [1, 2, 100])
def test_neighbours_equal_a_loop(features, block):
    x, present = features
    nearest = nearest_neighbours(x, present, 3, block)
    assert dict(zip(nearest.items.tolist(), nearest.index.tolist())) == slow_neighbours(x, present, 3)
    assert torch.equal(nearest.index[:, 0], nearest.items)  # an item is its own nearest neighbour
    assert (nearest.similarity[:, :-1] >= nearest.similarity[:, 1:]).all()


def test_items_without_the_modality_are_isolated(features):
    graph = item_graph(nearest_neighbours(*features, 3), 9, weighted=False).toarray()
    assert not graph[[0, 5]].any() and not graph[:, [0, 5]].any()


def test_more_neighbours_than_items():
    x, present = torch.randn(4, 2), torch.tensor([False, True, True, False])
    assert nearest_neighbours(x, present, 10).index.shape == (2, 2)
    empty = nearest_neighbours(x, torch.zeros(4, dtype=torch.bool), 3)
    assert item_graph(empty, 4, weighted=True).nnz == 0


@pytest.mark.parametrize("weighted", [False, True])
def test_normalisation_equals_a_loop(features, weighted):
    x, present = features
    matrix = np.zeros((9, 9))
    for i, others in slow_neighbours(x, present, 3).items():
        for j in others:
            cosine = float(x[i] @ x[j] / (x[i].norm() * x[j].norm()))
            matrix[i, j] = max(cosine, 0) if weighted else 1
    expected = np.zeros_like(matrix)
    for i in range(9):
        for j in range(9):
            if matrix[i, j]:
                expected[i, j] = matrix[i, j] / np.sqrt(matrix[i].sum() * matrix[j].sum())
    np.testing.assert_allclose(
        item_graph(nearest_neighbours(x, present, 3), 9, weighted).toarray(), expected, atol=1e-6
    )


def test_elementwise_max_and_weighted_sum(features):
    x, present = features
    a, b = (item_graph(nearest_neighbours(part, present, 3), 9, True) for part in (x, x.flip(1) ** 2))
    np.testing.assert_allclose(elementwise_max([a, b]).toarray(), np.maximum(a.toarray(), b.toarray()))
    np.testing.assert_allclose(weighted_sum([a, b], [0.1, 0.9]).toarray(), 0.1 * a.toarray() + 0.9 * b.toarray())


def test_cache_depends_on_features_k_and_presence(features, tmp_path, monkeypatch):
    x, present = features
    calls = []
    build = knn.nearest_neighbours
    monkeypatch.setattr(knn, "nearest_neighbours", lambda *args, **keys: calls.append(1) or build(*args, **keys))
    first = cached_neighbours(tmp_path / "graphs", x, present, 3)
    again = cached_neighbours(tmp_path / "graphs", x.clone(), present.clone(), 3)
    assert len(calls) == 1 and all(torch.equal(value, vars(again)[name]) for name, value in vars(first).items())
    other = present.clone()
    other[1] = False
    for change in ((x + 1e-3, present, 3), (x, present, 4), (x, other, 3)):
        cached_neighbours(tmp_path / "graphs", *change)
    assert len(calls) == 4
    path = next((tmp_path / "graphs").iterdir())
    path.write_bytes(b"broken")
    for change in ((x, present, 3), (x + 1e-3, present, 3), (x, present, 4), (x, other, 3)):
        cached_neighbours(tmp_path / "graphs", *change)
    assert len(calls) == 5


def test_a_search_that_takes_long_is_announced_once(features, monkeypatch, caplog):
    monkeypatch.setattr(knn, "ANNOUNCED_AFTER", 0.0)
    with caplog.at_level("INFO"):
        nearest_neighbours(*features, 3, block=1)
        nearest_among(features[0][:2], *features, 3, block=1)  # whose callers do not read the key
        assert not caplog.records
        monkeypatch.setattr(knn, "ANNOUNCED_FROM", 0.0)
        nearest_neighbours(*features, 3, block=1)
    (record,) = caplog.records
    assert record.message.startswith(
        "the neighbours of 7 items among 7 take about 0 min, once; --neighbour_search=faiss"
    )


def test_a_folder_that_cannot_be_written_costs_only_the_cache(features, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    assert len(cached_neighbours(tmp_path / "file", *features, 3).items) == 7
    assert "could not be written" in caplog.text
