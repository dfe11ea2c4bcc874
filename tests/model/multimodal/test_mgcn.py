"""MGCN against the paper's formulas."""

import numpy as np

from .conftest import array, info_nce, light_gcn, linear, neighbour_graph, propagate, sigmoid, softplus_loss, symmetric


def slow(case):
    model, n_users = case.model, len(case.users)
    behaviour = np.concatenate(light_gcn(case.pairs, case.users, case.items, model.n_ui_layers))
    views, present = [], []
    for m, x in enumerate(case.features):
        items = case.items * sigmoid(linear(model.gates[m][0], linear(model.maps[m], x)))
        items[~case.present[m]] = 0
        items = neighbour_graph(x, case.present[m], 4, True) @ items
        users, _ = propagate(case.pairs, case.users, items, symmetric)
        views.append(np.concatenate([users, items]))
        present.append(np.concatenate([np.ones(n_users, bool), case.present[m]]))
    side = np.zeros_like(behaviour)
    for node in range(len(side)):
        some = [m for m in range(len(views)) if present[m][node]]
        if not some:
            continue
        logits = [linear(model.query[2], np.tanh(linear(model.query[0], views[m][node])))[0] for m in some]
        weights = np.exp(logits) / np.exp(logits).sum()
        shared = sum(w * views[m][node] for w, m in zip(weights, some))
        specific = sum(
            sigmoid(linear(model.preferences[m][0], behaviour[node])) * (views[m][node] - shared) for m in some
        )
        side[node] = (shared + specific) / (1 + len(views))
    return behaviour, side


def test_embeddings_and_loss(toy):
    case = toy("MGCN", knn_k=4, cl_weight=0.3, reg_weight=0.2, temperature=0.4)
    behaviour, side = slow(case)
    n_users = len(case.users)
    result = case.model.behaviour_and_side()
    np.testing.assert_allclose(array(result[0]), behaviour, atol=1e-5)
    np.testing.assert_allclose(array(result[1]), side, atol=1e-5)
    u, i, j = case.triple
    users, items = np.split(behaviour + side, [n_users])
    rows = users[u], items[i], items[j]
    expected = softplus_loss(np.sum(rows[0] * (rows[1] - rows[2]), axis=1))
    expected += 0.2 * sum(np.sum(row**2) for row in rows) / 2 / len(u)
    for nodes in (u, n_users + i):
        expected += 0.3 * info_nce(side[nodes], behaviour[nodes], 0.4).mean()
    np.testing.assert_allclose(case.model.calculate_loss(case.batch).item(), expected, rtol=1e-4)
