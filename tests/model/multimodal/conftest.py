"""A multimodal model on the tiny data set, and the same graph and features as plain dense arrays."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch


def array(value):
    """A tensor as a float64 array."""
    return value.detach().double().numpy()


def linear(layer, x):
    """What a Linear does, in numpy."""
    y = x @ array(layer.weight).T
    return y if layer.bias is None else y + array(layer.bias)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def unit(x):
    """Rows at length 1, zero rows as they are."""
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(length == 0, 1, length)


def softplus_loss(margin):
    """Mean of -log sigmoid."""
    return float(np.mean(np.log1p(np.exp(-margin))))


def info_nce(x, y, tau, among=None, normalise=True):
    """Loss of each row, by loops."""
    among = y if among is None else among
    if normalise:
        x, y, among = unit(x), unit(y), unit(among)
    losses = []
    for a, b in zip(x, y):
        losses.append(-(a @ b) / tau + np.log(sum(np.exp(a @ c / tau) for c in among)))
    return np.array(losses)


def propagate(pairs, nodes_user, nodes_item, weight):
    """One propagation over the graph by a loop over edges; ``weight(d_u, d_i)``."""
    degree_user = {u: sum(1 for a, _ in pairs if a == u) for u, _ in pairs}
    degree_item = {i: sum(1 for _, b in pairs if b == i) for _, i in pairs}
    users, items = np.zeros_like(nodes_user), np.zeros_like(nodes_item)
    for u, i in pairs:
        users[u] += weight(degree_user[u], degree_item[i]) * nodes_item[i]
        items[i] += weight(degree_item[i], degree_user[u]) * nodes_user[u]
    return users, items


def symmetric(degree, other_degree):
    return (degree * other_degree) ** -0.5


def mean(degree, other_degree):
    return 1 / degree


def light_gcn(pairs, users, items, n_layers):
    """Mean over layers."""
    total = [users.copy(), items.copy()]
    for _ in range(n_layers):
        users, items = propagate(pairs, users, items, symmetric)
        total[0] += users
        total[1] += items
    return total[0] / (n_layers + 1), total[1] / (n_layers + 1)


def neighbour_graph(x, present, k, weighted):
    """Normalised neighbour matrix, by loops."""
    n = len(x)
    matrix = np.zeros((n, n))
    holders = [i for i in range(n) if present[i]]
    for i in holders:
        cosine = {j: x[i] @ x[j] / (np.linalg.norm(x[i]) * np.linalg.norm(x[j])) for j in holders}
        for j in sorted(holders, key=lambda j: -cosine[j])[:k]:
            matrix[i, j] = max(cosine[j], 0.0) if weighted else 1.0
    result = np.zeros((n, n))
    for i in holders:
        for j in holders:
            if matrix[i, j]:
                result[i, j] = matrix[i, j] / np.sqrt(matrix[i].sum() * matrix[j].sum())
    return result


@pytest.fixture
def toy(build):
    """Return a model with weights that are all non-zero, in evaluation mode, and what its slow double needs."""

    def make(name, **keys):
        built = build(name, **keys)
        model = built.model
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1 or parameter.shape[-1] == 1 or not parameter.any():
                    parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        model.eval()
        triple = [array(part).astype(int) for part in (built.batch[model.USER_ID], built.batch[model.ITEM_ID])]
        if model.NEG_ITEM_ID in built.batch.interaction:
            triple.append(array(built.batch[model.NEG_ITEM_ID]).astype(int))
        return SimpleNamespace(
            model=model,
            batch=built.batch,
            data=built.data,
            triple=triple,
            pairs=list(zip(model.edges.users.tolist(), model.edges.items.tolist())),
            users=array(model.user_embedding.weight),
            items=array(model.item_embedding.weight),
            features=[array(x) for x in model.item_features.frozen()],
            present=model.item_features.present.numpy(),
        )

    return make
