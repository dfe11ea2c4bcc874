"""SMORE against the paper's formulas, with the transform written as a sum."""

import numpy as np
import torch

from .conftest import array, light_gcn, linear, neighbour_graph, propagate, sigmoid, symmetric


def filtered(x, weights):
    """Multiply the unitary discrete Fourier transform of a real vector with weights, and go back, by sums."""
    n = len(x)
    k = np.arange(n)
    wave = np.exp(-2j * np.pi * np.outer(k, k) / n) / np.sqrt(n)
    return wave, (wave @ x) * weights


def back(wave, half, n):
    """Real vector of a half spectrum, the rest of which is its mirror image."""
    full = np.zeros(n, complex)
    full[: len(half)] = half
    for k in range(1, (n + 1) // 2):
        full[n - k] = np.conj(half[k])
    full[0] = full[0].real
    if n % 2 == 0:
        full[n // 2] = full[n // 2].real
    return (wave.conj() @ full).real


def slow_spectral(case):
    """Denoised modalities and their fusion, item by item."""
    model, dim = case.model, case.model.embedding_size
    weights = array(model.filters[..., 0]) + 1j * array(model.filters[..., 1])
    half = dim // 2 + 1
    mapped = [linear(model.maps[m], x) for m, x in enumerate(case.features)]
    result = np.zeros((len(mapped) + 1, model.n_items, dim))
    for item in range(model.n_items):
        product = np.ones(half, complex)
        for m, x in enumerate(mapped):
            wave, spectrum = filtered(x[item], 1)
            result[m, item] = back(wave, spectrum[:half] * weights[m], dim)
            if case.present[m, item]:
                product = product * spectrum[:half]
        result[-1, item] = back(wave, product * weights[-1], dim)
    return result


def test_spectral_fusion_equals_sums_over_frequencies(toy):
    case = toy("SMORE", embedding_size=6)
    mapped = torch.stack(case.model.mapped())
    result = case.model.spectral(mapped, case.model.item_features.present.unsqueeze(-1))
    np.testing.assert_allclose(array(result), slow_spectral(case), atol=1e-5)


def test_embeddings(toy):
    case = toy("SMORE", knn_k={"image": 3, "text": 5}, embedding_size=6)
    model, n_users = case.model, len(case.users)
    behaviour = np.concatenate(light_gcn(case.pairs, case.users, case.items, model.n_ui_layers))
    clean, with_view = slow_spectral(case), [*case.present, case.present.any(axis=0)]
    graphs = [neighbour_graph(x, has, k, True) for x, has, k in zip(case.features, case.present, (3, 5))]
    graphs.append(np.maximum(*graphs))
    views = []
    for m, graph in enumerate(graphs):
        items = graph @ (case.items * sigmoid(linear(model.gates[m][0], clean[m])) * with_view[m][:, None])
        views.append(np.concatenate([propagate(case.pairs, case.users, items, symmetric)[0], items]))
    side = sigmoid(linear(model.preferences[2][0], behaviour)) * views[2]
    count = np.ones(len(side))
    for m in range(2):
        present = np.concatenate([np.ones(n_users, bool), case.present[m]])
        logits = linear(model.queries[m][2], np.tanh(linear(model.queries[m][0], views[2])))
        attention = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        side += sigmoid(linear(model.preferences[m][0], behaviour)) * attention * views[m] * present[:, None]
        count += present
    result = model.behaviour_and_side()
    np.testing.assert_allclose(array(result[0]), behaviour, atol=1e-5)
    np.testing.assert_allclose(array(result[1]), side / count[:, None], atol=1e-5)


def test_the_elementwise_maximum_graph_is_symmetric_in_its_modalities(toy):
    graph = toy("SMORE", knn_k=4).model.graphs[2](torch.eye(38))
    assert (graph >= toy("SMORE", knn_k=4).model.graphs[0](torch.eye(38)) - 1e-7).all()
