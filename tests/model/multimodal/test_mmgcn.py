"""MMGCN against the paper's formulas, node by node."""

import numpy as np
import pytest

from .conftest import array, linear, mean, propagate, softplus_loss, unit


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def slow(case):
    model, total = case.model, 0
    ids = np.concatenate([case.users, case.items])
    n_users = len(case.users)
    for x, narrow, preference, layers in zip(case.features, model.narrow, model.preferences, model.layers):
        present = np.abs(x).sum(axis=1, keepdims=True) > 0  # others start from zero, not from a bias
        x = present * (linear(narrow, x) if hasattr(narrow, "weight") else x)
        nodes = unit(np.concatenate([array(preference.weight), x]))
        for layer in layers:
            # the mean over neighbours first, then W1, as the paper writes it
            users, items = propagate(case.pairs, nodes[:n_users], nodes[n_users:], mean)
            h = leaky(linear(layer.neighbours, np.concatenate([users, items])))
            own = leaky(linear(layer.own, nodes)) + ids
            nodes = leaky(linear(layer.combine, np.concatenate([h, own], axis=1)))
        total = total + nodes
    return total[:n_users], total[n_users:]


@pytest.mark.parametrize("latent", [256, 8])
def test_embeddings_and_loss(toy, latent):
    case = toy("MMGCN", reg_weight=0.1, latent_size=latent)
    users, items = slow(case)
    result = case.model.embeddings()
    np.testing.assert_allclose(array(result[0]), users, atol=1e-4)
    np.testing.assert_allclose(array(result[1]), items, atol=1e-4)
    u, i, j = case.triple
    margin = np.sum(users[u] * (items[i] - items[j]), axis=1)
    size = np.mean(np.concatenate([case.users[u], case.items[i], case.items[j]]) ** 2)
    size += sum(np.mean(array(table.weight)[u] ** 2) for table in case.model.preferences)
    loss = case.model.calculate_loss(case.batch).item()
    np.testing.assert_allclose(loss, softplus_loss(margin) + 0.1 * size, rtol=1e-4)
