"""MMGCN against the paper's formulas, node by node."""

import numpy as np
import pytest

from .conftest import array, linear, mean, propagate, softplus_loss, unit


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def slow(made):
    model, total = made.model, 0
    ids = np.concatenate([made.users, made.items])
    n_users = len(made.users)
    for x, narrow, preference, layers in zip(made.features, model.narrow, model.preferences, model.layers):
        there = np.abs(x).sum(axis=1, keepdims=True) > 0  # others start from zero, not from a bias
        x = there * (linear(narrow, x) if hasattr(narrow, "weight") else x)
        nodes = unit(np.concatenate([array(preference.weight), x]))
        for layer in layers:
            # the mean over neighbours first, then W1, as the paper writes it
            users, items = propagate(made.pairs, nodes[:n_users], nodes[n_users:], mean)
            h = leaky(linear(layer.neighbours, np.concatenate([users, items])))
            own = leaky(linear(layer.own, nodes)) + ids
            nodes = leaky(linear(layer.combine, np.concatenate([h, own], axis=1)))
        total = total + nodes
    return total[:n_users], total[n_users:]


@pytest.mark.parametrize("latent", [256, 8])
def test_embeddings_and_loss(toy, latent):
    made = toy("MMGCN", reg_weight=0.1, latent_size=latent)
    users, items = slow(made)
    found = made.model.embeddings()
    np.testing.assert_allclose(array(found[0]), users, atol=1e-4)
    np.testing.assert_allclose(array(found[1]), items, atol=1e-4)
    u, i, j = made.triple
    margin = np.sum(users[u] * (items[i] - items[j]), axis=1)
    size = np.mean(np.concatenate([made.users[u], made.items[i], made.items[j]]) ** 2)
    size += sum(np.mean(array(table.weight)[u] ** 2) for table in made.model.preferences)
    loss = made.model.calculate_loss(made.batch).item()
    np.testing.assert_allclose(loss, softplus_loss(margin) + 0.1 * size, rtol=1e-4)
