"""SLMRec against the paper's formulas."""

import numpy as np
import pytest

from .conftest import array, info_nce, light_gcn, linear, unit


def slow(case):
    model = case.model
    starts = [case.items]
    for m, x in enumerate(case.features):
        start = linear(model.maps[m], unit(x))
        start[~case.present[m]] = 0
        starts.append(start)
    channels = [light_gcn(case.pairs, case.users, start, model.n_layers) for start in starts]
    users = linear(model.merge_users, np.concatenate([channel[0] for channel in channels], axis=1))
    items = linear(model.merge_items, np.concatenate([channel[1] for channel in channels], axis=1))
    return channels, users, items


@pytest.mark.parametrize("modalities", [None, ["text"]])
def test_embeddings_and_loss(toy, modalities):
    case = toy("SLMRec", temperature=0.3, ssl_weight=0.4, ssl_temperature=0.6, modalities=modalities)
    channels, users, items = slow(case)
    result = case.model.embeddings()
    np.testing.assert_allclose(array(result[0]), users, atol=1e-5)
    np.testing.assert_allclose(array(result[1]), items, atol=1e-5)
    u, i = case.triple[:2]
    expected = info_nce(users[u], items[i], 0.3).mean()
    z = channels[0][1][i]
    for m, (along, side) in enumerate(zip(case.model.chain, case.model.sides)):
        z = linear(along, z)
        present = case.present[m, i]
        other = linear(side, channels[m + 1][1][i[present]])
        expected += 0.4 * info_nce(z[present], other, 0.6, normalise=False).mean()
    np.testing.assert_allclose(case.model.calculate_loss(case.batch).item(), expected, rtol=1e-4)


def test_the_last_space_is_the_coarse_one(toy):
    model = toy("SLMRec").model
    assert [layer.out_features for layer in model.chain] == [64, 32] == [layer.out_features for layer in model.sides]
