"""LGMRec against the paper's formulas."""

import numpy as np
import pytest
import torch

from .conftest import array, info_nce, light_gcn, linear, propagate, softplus_loss, symmetric, unit


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


def slow(case):
    model, n_users = case.model, len(case.users)
    of_user = {u: [i for a, i in case.pairs if a == u] for u in range(n_users)}
    users, items = light_gcn(case.pairs, case.users, case.items, model.n_ui_layers)
    local, global_users, global_items = np.concatenate([users, items]), [], []
    for m, x in enumerate(case.features):
        mapped, logits = linear(model.maps[m], x), linear(model.hyperedges[m], x)
        mean, total = np.zeros((n_users, mapped.shape[1])), np.zeros((n_users, logits.shape[1]))
        for u, seen in of_user.items():
            with_it = [i for i in seen if case.present[m, i]]
            mean[u] = mapped[with_it].mean(axis=0) if with_it else 0
            total[u] = logits[with_it].sum(axis=0)
        nodes = mean, mapped
        for _ in range(model.n_mm_layers):
            nodes = propagate(case.pairs, *nodes, symmetric)
        local = local + unit(np.concatenate(nodes))
        of_items = softmax(logits / 0.2) * case.present[m][:, None]
        of_users = softmax(total / 0.2)
        current = items
        for _ in range(model.n_hyper_layers):
            edges = of_items.T @ current
            current, of = of_items @ edges, of_users @ edges
        global_users.append(of)
        global_items.append(current)
    together = np.concatenate([sum(global_users), sum(global_items)])
    return local + model.alpha * unit(together), global_users, global_items


@pytest.mark.parametrize("layers, hyperedges", [(1, 4), (2, 3)])
def test_embeddings_and_loss(toy, layers, hyperedges):
    case = toy("LGMRec", n_hyper_layers=layers, n_hyperedges=hyperedges, alpha=0.4, cl_weight=0.01, reg_weight=0.02)
    assert [tuple(layer.weight.shape) for layer in case.model.hyperedges] == [(hyperedges, 6), (hyperedges, 10)]
    nodes, of_users, of_items = slow(case)
    result = case.model.propagate()
    np.testing.assert_allclose(array(result[0]), nodes, atol=1e-5)
    for m in range(2):
        np.testing.assert_allclose(array(result[1][m]), of_users[m], atol=1e-5)
        np.testing.assert_allclose(array(result[2][m]), of_items[m], atol=1e-5)
    u, i, j = case.triple
    users, items = np.split(nodes, [len(case.users)])
    rows = users[u], items[i], items[j]
    expected = softplus_loss(np.sum(rows[0] * (rows[1] - rows[2]), axis=1))
    both = [k for k in i if case.present[:, k].all()]
    expected += 0.01 * info_nce(of_users[0][u], of_users[1][u], 0.2, of_users[1][1:]).sum()
    expected += 0.01 * info_nce(of_items[0][both], of_items[1][both], 0.2, of_items[1][case.present[1]]).sum()
    expected += 0.02 * sum(np.linalg.norm(row) for row in rows) / len(u)
    np.testing.assert_allclose(case.model.calculate_loss(case.batch).item(), expected, rtol=1e-4)


def test_every_modality_has_n_hyperedges(toy):
    """One row of global embeddings per hyperedge: with one hyperedge all members of it are equal, with two they are not."""
    for n_hyperedges in (1, 2):
        case = toy("LGMRec", n_hyperedges=n_hyperedges)
        _, global_users, global_items = case.model.propagate()
        for m in range(2):
            members = case.model.item_features.present[m]
            for rows in (global_users[m], global_items[m][members]):
                assert torch.linalg.matrix_rank(rows, rtol=1e-4) == n_hyperedges


def test_memberships_are_distributions_and_random_in_training_alone(toy):
    model = toy("LGMRec", dropout=0.0).model
    logits = torch.randn(5, 4)
    torch.testing.assert_close(model._memberships(logits).sum(dim=1), torch.ones(5))
    assert torch.equal(model._memberships(logits), model._memberships(logits))
    model.train()
    torch.testing.assert_close(model._memberships(logits).sum(dim=1), torch.ones(5))
    assert not torch.equal(model._memberships(logits), model._memberships(logits))
