"""The graph of users and items: matrices by hand and by slow loops, probabilities of sampled edges."""

import numpy as np
import pytest
import torch

from recbole_sda.graphs.user_item import (
    Edges,
    draw_edges,
    light_gcn,
    mean_graph,
    symmetric_graph,
    symmetric_weights,
    users_from_items,
)

# user 1 has items 1 and 2, user 2 has item 2 (twice); 0 is padding, item 3 has no users
EDGES = Edges.from_interactions([1, 2, 1, 2], [1, 2, 2, 2], n_users=3, n_items=4)


def dense(matrix):
    return matrix(torch.eye(matrix.shape[1]))


def test_edges_are_distinct_pairs():
    assert EDGES.users.tolist() == [1, 1, 2] and EDGES.items.tolist() == [1, 2, 2]


def test_symmetric_weights_by_hand():
    np.testing.assert_allclose(symmetric_weights(EDGES), [1 / np.sqrt(2 * 1), 1 / np.sqrt(2 * 2), 1 / np.sqrt(1 * 2)])


def test_symmetric_graph():
    graph = dense(symmetric_graph(EDGES))
    assert torch.equal(graph, graph.T) and graph.shape == (7, 7)
    assert graph[0].sum() == 0 and graph[3].sum() == 0 and graph[6].sum() == 0  # padding, and the item without users
    expected = torch.zeros(7, 7)
    for user, item in ((1, 1), (1, 2), (2, 2)):
        degree_user, degree_item = {1: 2, 2: 1}[user], {1: 1, 2: 2}[item]
        expected[user, 3 + item] = expected[3 + item, user] = (degree_user * degree_item) ** -0.5
    torch.testing.assert_close(graph, expected)
    assert torch.linalg.eigvalsh(graph).abs().max() <= 1 + 1e-6


def test_mean_graph_rows_sum_to_one():
    graph = dense(mean_graph(EDGES))
    torch.testing.assert_close(graph.sum(dim=1), torch.tensor([0.0, 1, 1, 0, 1, 1, 0]))
    assert graph[1, 4] == 0.5 and graph[2, 5] == 1 and graph[5, 1] == 0.5


def test_users_from_items():
    for weighting, row in (("mean", [0, 0.5, 0.5, 0]), ("sum", [0, 1, 1, 0]), ("symmetric", [0, 2**-0.5, 0.5, 0])):
        torch.testing.assert_close(dense(users_from_items(EDGES, weighting))[1], torch.tensor(row).float())
    with pytest.raises(ValueError, match="allowed are symmetric, mean and sum"):
        users_from_items(EDGES, "max")


def test_light_gcn_is_the_mean_over_layers():
    nodes = torch.randn(7, 2)
    graph = dense(symmetric_graph(EDGES))
    expected = (nodes + graph @ nodes + graph @ graph @ nodes) / 3
    torch.testing.assert_close(light_gcn(symmetric_graph(EDGES), nodes, 2), expected)
    assert torch.equal(light_gcn(symmetric_graph(EDGES), nodes, 0), nodes)


def test_light_gcn_gradient_is_that_of_the_dense_products():
    """On a graph that is not symmetric, where the gradient needs the transpose."""
    nodes, weights = torch.randn(7, 2, requires_grad=True), torch.randn(7, 2)
    graph = dense(mean_graph(EDGES))
    expected = torch.autograd.grad((((nodes + graph @ nodes + graph @ graph @ nodes) / 3) * weights).sum(), nodes)
    gradient = torch.autograd.grad((light_gcn(mean_graph(EDGES), nodes, 2) * weights).sum(), nodes)
    torch.testing.assert_close(gradient, expected)


def test_the_stated_share_of_distinct_edges_is_drawn():
    chosen = draw_edges(torch.rand(1003) + 0.1, 0.2)
    assert len(chosen) == len(set(chosen.tolist())) == 200
    assert len(draw_edges(torch.ones(1000), 1 - 0.8)) == 200  # though 1 - 0.8 is less than 0.2


def test_edges_are_drawn_in_proportion_to_the_weights():
    """One edge of three with weights 1 : 2 : 5; and two of them, against the exact probabilities."""
    torch.manual_seed(0)
    weights = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    first, pairs = torch.zeros(3), torch.zeros(3)
    for _ in range(4000):
        first[draw_edges(weights, 0.34)] += 1
        pairs[draw_edges(weights, 0.67)] += 1
    torch.testing.assert_close(first / 4000, torch.tensor([1 / 8, 2 / 8, 5 / 8]), atol=0.025, rtol=0)
    left_out = [2 / 8 * 5 / 6 + 5 / 8 * 2 / 3, 1 / 8 * 5 / 7 + 5 / 8 * 1 / 3, 1 / 8 * 2 / 7 + 2 / 8 * 1 / 6]
    torch.testing.assert_close(1 - pairs / 4000, torch.tensor(left_out), atol=0.025, rtol=0)
