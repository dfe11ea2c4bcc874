"""Directed graphs from each item to the items that its embedding is averaged with."""

from typing import Sequence, Tuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from recbole_sda.graphs.knn import Neighbours


def similarity_graph(neighbours: Neighbours, n_items: int) -> sp.csr_matrix:
    """Return the similarities of each item with its k - 1 nearest others, (n_items, n_items), without negative ones.

    Args:
        neighbours: the k nearest items of each item. Where they leave out the item itself, which more than k items then equal,
            the last one is left out instead.
        n_items: number of items including the padding item 0.
    """
    k = neighbours.index.shape[1]
    others = neighbours.index != neighbours.items.unsqueeze(1)
    others[:, -1:] &= ~others.all(dim=1, keepdim=True)
    rows, columns = neighbours.items.repeat_interleave(k).numpy(), neighbours.index.flatten().numpy()
    values = neighbours.similarity.flatten().numpy()
    kept = others.flatten().numpy() & (values > 0)
    return sp.csr_matrix((values[kept], (rows[kept], columns[kept])), shape=(n_items, n_items))


def rows_to_one(graph: sp.csr_matrix) -> sp.csr_matrix:
    """Return the graph with the weights of each row divided by their sum; rows without an entry stay empty.

    Example:
        >>> rows_to_one(sp.csr_matrix(np.array([[1.0, 3.0], [0.0, 0.0]]))).toarray().tolist()
        [[0.25, 0.75], [0.0, 0.0]]
    """
    sums = np.asarray(graph.sum(axis=1)).ravel()
    return (sp.diags(np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)) @ graph).tocsr()


def mean_graph(graphs: Sequence[sp.csr_matrix]) -> sp.csr_matrix:
    """Return the mean of graphs whose rows sum to one; a row takes the mean over the graphs in which it has entries."""
    rows = [np.diff(graph.indptr) > 0 for graph in graphs]
    weight = np.divide(1.0, sum(has.astype(float) for has in rows), out=np.zeros(len(rows[0])), where=sum(rows) > 0)
    total: sp.csr_matrix = sum(graphs[1:], start=graphs[0])
    return (sp.diags(weight) @ total).tocsr()


def scaled_rows(graph: sp.csr_matrix, factor: np.ndarray, n_rows: int) -> sp.csr_matrix:
    """Return the graph with row i times ``factor[i]`` and without item 0, as a matrix (n_rows, n_rows) with empty further rows."""
    entries = (sp.diags(factor.astype(np.float64)) @ graph).tocoo()
    inside = (entries.row > 0) & (entries.col > 0) & (entries.data != 0)
    return sp.csr_matrix((entries.data[inside], (entries.row[inside], entries.col[inside])), shape=(n_rows, n_rows))


def as_lists(graph: sp.csr_matrix) -> Tuple[Tensor, Tensor]:
    """Return neighbours and weights of each item as rectangular matrices, (n_items, k), k the longest row.

    Shorter rows end with item 0 and weight 0.

    Example:
        >>> index, weight = as_lists(sp.csr_matrix(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])))
        >>> index.tolist(), weight.tolist()
        ([[0, 0], [2, 0], [0, 1]], [[0.0, 0.0], [1.0, 0.0], [0.5, 0.5]])
    """
    graph = graph.tocsr()
    graph.sort_indices()
    length = np.diff(graph.indptr)
    k = max(int(length.max(initial=0)), 1)
    index, weight = np.zeros((len(length), k), np.int64), np.zeros((len(length), k), np.float32)
    row = np.repeat(np.arange(len(length)), length)
    column = np.arange(len(row)) - np.repeat(graph.indptr[:-1], length)
    index[row, column], weight[row, column] = graph.indices, graph.data
    return torch.from_numpy(index), torch.from_numpy(weight)
