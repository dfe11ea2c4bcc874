"""Directed graphs from each item to similar items."""

import numpy as np
import scipy.sparse as sp
import torch

from recbole_sda.graphs.item_graphs import as_lists, mean_graph, rows_to_one, similarity_graph
from recbole_sda.graphs.knn import nearest_neighbours


def test_similarity_graph_leaves_out_the_item_itself_and_negative_similarities():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [0.0, 1.0]])
    present = torch.tensor([False, True, True, True, True])
    graph = similarity_graph(nearest_neighbours(x, present, 4), 5).toarray()
    unit = torch.nn.functional.normalize(x, dim=1)
    expected = (unit @ unit.T).clamp(min=0).fill_diagonal_(0).numpy()
    assert np.allclose(graph, expected, atol=1e-6)


def test_an_item_that_many_items_equal_has_no_further_neighbour():
    """Its k nearest may leave out the item itself."""
    x, present = torch.ones(9, 2), torch.arange(9) > 0
    graph = similarity_graph(nearest_neighbours(x, present, 4), 9)
    assert np.diff(graph.indptr).tolist() == [0] + [3] * 8 and (graph.diagonal() == 0).all()


def test_rows_sum_to_one_and_empty_rows_stay_empty():
    graph = rows_to_one(sp.csr_matrix(np.array([[0.0, 2.0, 2.0], [0.0, 0.0, 0.0], [5.0, 0.0, 0.0]])))
    assert graph.toarray().tolist() == [[0.0, 0.5, 0.5], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]


def test_mean_graph_takes_each_row_from_the_graphs_that_have_it():
    a = sp.csr_matrix(np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]))
    b = sp.csr_matrix(np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
    assert mean_graph([a, b]).toarray().tolist() == [[0.5, 0.5], [1.0, 0.0], [0.0, 0.0]]
    assert mean_graph([a]).toarray().tolist() == a.toarray().tolist()


def test_lists_hold_the_graph():
    dense = np.random.default_rng(0).random((7, 7)) * (np.random.default_rng(1).random((7, 7)) > 0.6)
    dense[3] = 0
    index, weight = as_lists(sp.csr_matrix(dense))
    rebuilt = np.zeros((7, 7))
    np.add.at(rebuilt, (np.repeat(np.arange(7), index.shape[1]), index.flatten().numpy()), weight.flatten().numpy())
    assert np.allclose(rebuilt, dense, atol=1e-6)
    index, weight = as_lists(sp.csr_matrix((4, 4)))
    assert index.shape == (4, 1) and weight.sum() == 0
