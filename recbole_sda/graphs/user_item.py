"""The bipartite graph of users and items, its normalisations, propagation on it, and pruning of its edges.

Nodes are users 0 .. n_users - 1, then items. Edges are distinct (user, item) pairs, as two int64 arrays.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from recbole_sda.graphs.sparse import SparseMatrix


class Edges(NamedTuple):
    """Distinct pairs of a user and an item that the user interacted with.

    Attributes:
        users, items: (n_edges,), int64.
        n_users, n_items: sizes with the padding user and item 0, which have no edges.
    """

    users: np.ndarray
    items: np.ndarray
    n_users: int
    n_items: int

    @classmethod
    def of(cls, users: np.ndarray, items: np.ndarray, n_users: int, n_items: int) -> "Edges":
        """Return the distinct pairs of interactions, sorted by user, then item."""
        keys = np.unique(np.asarray(users, dtype=np.int64) * n_items + np.asarray(items, dtype=np.int64))
        return cls(keys // n_items, keys % n_items, n_users, n_items)

    def subset(self, which: np.ndarray) -> "Edges":
        """Return some of the edges."""
        return self._replace(users=self.users[which], items=self.items[which])


def _inverse(counts: np.ndarray, power: float) -> np.ndarray:
    return np.where(counts > 0, np.maximum(counts, 1).astype(np.float64) ** -power, 0.0)


def symmetric_weights(edges: Edges) -> np.ndarray:
    """Return ``1 / sqrt(d_u d_i)`` of each edge, with d the number of edges of a node, (n_edges,), float64."""
    of_user, of_item = (
        np.bincount(edges.users, minlength=edges.n_users),
        np.bincount(edges.items, minlength=edges.n_items),
    )
    return _inverse(of_user, 0.5)[edges.users] * _inverse(of_item, 0.5)[edges.items]


def _matrix(edges: Edges, weights: np.ndarray) -> sp.csr_matrix:
    return sp.csr_matrix((weights, (edges.users, edges.items)), shape=(edges.n_users, edges.n_items))


def symmetric_graph(edges: Edges) -> SparseMatrix:
    """Return ``D^-1/2 A D^-1/2`` over all nodes, (n_nodes, n_nodes); a node without an edge has an empty row."""
    half = _matrix(edges, symmetric_weights(edges))
    return SparseMatrix(sp.bmat([[None, half], [half.T, None]]))


def mean_graph(edges: Edges) -> SparseMatrix:
    """Return ``D^-1 A`` over all nodes, (n_nodes, n_nodes): the mean over a node's neighbours."""
    half = _matrix(edges, np.ones(len(edges.users)))
    whole = sp.bmat([[None, half], [half.T, None]]).tocsr()
    return SparseMatrix(sp.diags(_inverse(np.asarray(whole.sum(axis=1)).ravel(), 1.0)) @ whole)


def users_from_items(edges: Edges, weighting: str) -> SparseMatrix:
    """Return the matrix (n_users, n_items) that carries items to users.

    Args:
        edges: the edges.
        weighting: ``symmetric`` (``1 / sqrt(d_u d_i)``), ``mean`` (``1 / d_u``) or ``sum`` (1).
    """
    if weighting == "symmetric":
        weights = symmetric_weights(edges)
    elif weighting == "mean":
        weights = _inverse(np.bincount(edges.users, minlength=edges.n_users), 1.0)[edges.users]
    elif weighting == "sum":
        weights = np.ones(len(edges.users))
    else:
        raise ValueError(f"weighting={weighting!r}: allowed are symmetric, mean and sum")
    return SparseMatrix(_matrix(edges, weights))


class _MeanOverLayers(torch.autograd.Function):
    """``(1 + A + A A + ...) x / (L + 1)`` as ``x + A (x + A (x + ...))``; the gradient is the same of the transpose."""

    @staticmethod
    def mean(matrix: Tensor, x: Tensor, n_layers: int) -> Tensor:
        total = x
        for _ in range(n_layers):
            total = torch.addmm(x, matrix, total)
        return total / (n_layers + 1)

    @staticmethod
    def forward(ctx, x: Tensor, matrix: Tensor, transposed: Tensor, n_layers: int) -> Tensor:
        ctx.transposed, ctx.n_layers = transposed, n_layers
        return _MeanOverLayers.mean(matrix, x, n_layers)

    @staticmethod
    def backward(ctx, grad: Tensor):
        return _MeanOverLayers.mean(ctx.transposed, grad.contiguous(), ctx.n_layers), None, None, None


def light_gcn(graph: SparseMatrix, nodes: Tensor, n_layers: int) -> Tensor:
    """Return the mean of ``nodes`` (n_nodes, dim) and their first ``n_layers`` propagations (LightGCN, He et al. 2020)."""
    with torch.autocast(nodes.device.type, enabled=False):  # as in SparseMatrix
        return _MeanOverLayers.apply(nodes.to(graph.values.dtype), graph.values, graph.back, n_layers)


def draw_edges(weights: Tensor, share: float) -> Tensor:
    """Return the positions of ``floor(share * n_edges)`` edges drawn without replacement, in proportion to ``weights``.

    Uses torch's global random stream. Exponential keys (Efraimidis and Spirakis 2006) in place of ``torch.multinomial``,
    which takes no more than 2^24 edges.
    """
    keys = torch.empty_like(weights).exponential_() / weights
    n_kept = int(share * len(weights) + 1e-6)  # 1 - 0.8 is less than a fifth
    return keys.topk(n_kept, largest=False, sorted=False).indices
