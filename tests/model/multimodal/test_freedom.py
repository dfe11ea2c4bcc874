"""FREEDOM against the paper's formulas, and the pruning of its graph."""

import numpy as np
import pytest
import torch

from .conftest import array, light_gcn, linear, neighbour_graph, softplus_loss


def slow(case, pairs=None):
    model, weights = case.model, (0.1, 0.9)
    graph = sum(w * neighbour_graph(x, has, 4, False) for w, x, has in zip(weights, case.features, case.present))
    users, items = light_gcn(pairs or case.pairs, case.users, case.items, model.n_ui_layers)
    similar = case.items
    for _ in range(model.n_mm_layers):
        similar = graph @ similar
    return users, items + similar


def loss(case, users, items, reg_weight):
    u, i, j = case.triple
    expected = softplus_loss(np.sum(users[u] * (items[i] - items[j]), axis=1))
    for m, x in enumerate(case.features):
        mapped = linear(case.model.maps[m], x)
        both = [k for k in range(len(u)) if case.present[m, i[k]] and case.present[m, j[k]]]
        expected += reg_weight * softplus_loss(np.sum(users[u[both]] * (mapped[i[both]] - mapped[j[both]]), axis=1))
    return expected


@pytest.mark.parametrize("layers", [1, 2])
def test_embeddings_and_loss(toy, layers):
    case = toy("FREEDOM", knn_k=4, dropout=0.0, reg_weight=0.3, n_mm_layers=layers)
    users, items = slow(case)
    result = case.model.embeddings()
    np.testing.assert_allclose(array(result[0]), users, atol=1e-5)
    np.testing.assert_allclose(array(result[1]), items, atol=1e-5)
    case.model.before_epoch(0)  # without dropout nothing is pruned
    expected = loss(case, users, items, 0.3)
    np.testing.assert_allclose(case.model.calculate_loss(case.batch).item(), expected, rtol=1e-5)


def test_training_sees_the_pruned_graph_normalised_anew_and_evaluation_all_of_it(toy):
    case = toy("FREEDOM", knn_k=4, dropout=0.5)
    model, whole = case.model, array(case.model.embeddings()[0])
    torch.manual_seed(3)
    model.before_epoch(0)
    dense = array(model.pruned(torch.eye(model.n_users + model.n_items)))[: model.n_users, model.n_users :]
    kept = list(zip(*np.nonzero(dense)))
    assert len(kept) == len(case.pairs) // 2 and set(kept) <= set(case.pairs)
    users, items = slow(case, kept)
    expected = loss(case, users, items, 0.001)
    np.testing.assert_allclose(model.calculate_loss(case.batch).item(), expected, rtol=1e-5)
    np.testing.assert_allclose(array(model.embeddings()[0]), whole)
    model.before_epoch(0)
    again = array(model.pruned(torch.eye(model.n_users + model.n_items)))[: model.n_users, model.n_users :]
    assert set(zip(*np.nonzero(again))) != set(kept)


def test_weights_of_modalities(toy):
    assert toy("FREEDOM", modality_weights={"image": 1, "text": 3}).model._weights({"image": 1, "text": 3}) == [
        0.25,
        0.75,
    ]
    assert toy("FREEDOM").model._weights(None) == [0.1, 0.9]
