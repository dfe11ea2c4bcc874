"""VBPR against the paper's formula, pair by pair."""

import numpy as np

from .conftest import array, softplus_loss


def slow_score(toy, user, item):
    model = toy.model
    gamma, theta = np.split(toy.users[user], 2)
    value = array(model.item_bias.weight)[item, 0] + gamma @ toy.items[item]
    for m, x in enumerate(toy.features):
        if toy.present[m, item]:
            value += theta @ (array(model.maps[m].weight) @ x[item])
            value += array(model.feature_bias[m].weight)[0] @ x[item]
    return value


def test_scores(toy):
    case = toy("VBPR")
    batch = next(iter(case.data.valid))[0]
    users = batch[case.model.USER_ID].tolist()
    result = array(case.model.full_sort_predict(batch)).reshape(len(users), -1)
    expected = [[slow_score(case, user, item) for item in range(case.model.n_items)] for user in users]
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_loss(toy):
    case = toy("VBPR", reg_weight=0.2)
    model = case.model
    margins, size = [], 0.0
    bias = array(model.item_bias.weight)[:, 0]
    for u, i, j in zip(*case.triple):
        margins.append(slow_score(case, u, i) - slow_score(case, u, j))
        rows = [case.users[u], case.items[i], case.items[j], bias[i], bias[j]]
        size += sum(np.sum(np.square(row)) for row in rows)
    expected = softplus_loss(np.array(margins)) + 0.2 * size / 2 / len(margins)
    np.testing.assert_allclose(model.calculate_loss(case.batch).item(), expected, rtol=1e-5)
