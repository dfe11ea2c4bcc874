"""The bipartite graph of users and items: its normalisations, propagation, and sampling of edges.

Nodes are the users 0 .. n_users - 1, then the items. Edges are distinct (user, item) pairs, stored as two int64 arrays.
"""

from typing import Any, NamedTuple, Tuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from recbole_sda.graphs.sparse import SparseMatrix


class Edges(NamedTuple):
    """Distinct pairs of a user and an item with which the user interacted.

    Attributes:
        users, items: (n_edges,), int64.
        n_users, n_items: numbers including the padding user 0 and the padding item 0, which have no edges.
    """

    users: np.ndarray
    items: np.ndarray
    n_users: int
    n_items: int

    @classmethod
    def from_interactions(cls, users: np.ndarray, items: np.ndarray, n_users: int, n_items: int) -> "Edges":
        """Return the distinct pairs of interactions, sorted by user and then by item."""
        keys = np.unique(np.asarray(users, dtype=np.int64) * n_items + np.asarray(items, dtype=np.int64))
        return cls(keys // n_items, keys % n_items, n_users, n_items)

    def subset(self, which: np.ndarray) -> "Edges":
        """Return the edges at the positions ``which``."""
        return self._replace(users=self.users[which], items=self.items[which])


def _inverse(counts: np.ndarray, power: float) -> np.ndarray:
    """Return ``counts ** -power``, with 0 for a count of 0."""
    return np.where(counts > 0, np.maximum(counts, 1).astype(np.float64) ** -power, 0.0)


def symmetric_weights(edges: Edges) -> np.ndarray:
    """Return ``1 / sqrt(d_u d_i)`` of each edge, with d the degree of a node, (n_edges,), float64."""
    user_degrees = np.bincount(edges.users, minlength=edges.n_users)
    item_degrees = np.bincount(edges.items, minlength=edges.n_items)
    return _inverse(user_degrees, 0.5)[edges.users] * _inverse(item_degrees, 0.5)[edges.items]


def _matrix(edges: Edges, weights: np.ndarray) -> sp.csr_matrix:
    return sp.csr_matrix((weights, (edges.users, edges.items)), shape=(edges.n_users, edges.n_items))


def symmetric_graph(edges: Edges) -> SparseMatrix:
    """Return ``D^-1/2 A D^-1/2`` of the adjacency matrix A, (n_nodes, n_nodes); a node without an edge has an empty row."""
    half = _matrix(edges, symmetric_weights(edges))
    return SparseMatrix(sp.bmat([[None, half], [half.T, None]]))


def mean_graph(edges: Edges) -> SparseMatrix:
    """Return ``D^-1 A`` of the adjacency matrix A, (n_nodes, n_nodes): the mean over a node's neighbours."""
    half = _matrix(edges, np.ones(len(edges.users)))
    whole = sp.bmat([[None, half], [half.T, None]]).tocsr()
    return SparseMatrix(sp.diags(_inverse(np.asarray(whole.sum(axis=1)).ravel(), 1.0)) @ whole)


def users_from_items(edges: Edges, weighting: str) -> SparseMatrix:
    """Return the matrix (n_users, n_items) that aggregates the items of each user.

    Args:
        edges: the edges.
        weighting: weight of an edge: ``symmetric`` (``1 / sqrt(d_u d_i)``), ``mean`` (``1 / d_u``) or ``sum`` (1).

    Raises:
        ValueError: ``weighting`` is none of these.
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
    """``(1 + A + A A + ...) x / (L + 1)``, computed as ``x + A (x + A (x + ...))``. The gradient is the same with A transposed."""

    @staticmethod
    def mean(matrix: Tensor, x: Tensor, n_layers: int) -> Tensor:
        total = x
        for _ in range(n_layers):
            total = torch.addmm(x, matrix, total)
        return total / (n_layers + 1)

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, transpose: Tensor, n_layers: int) -> Tensor:
        ctx.transpose, ctx.n_layers = transpose, n_layers
        return _MeanOverLayers.mean(matrix, x, n_layers)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tuple[Tensor, None, None, None]:
        return _MeanOverLayers.mean(ctx.transpose, grad.contiguous(), ctx.n_layers), None, None, None


def light_gcn(graph: SparseMatrix, nodes: Tensor, n_layers: int) -> Tensor:
    """Return the mean of ``nodes`` (n_nodes, dim) and their ``n_layers`` propagations (LightGCN, He et al. 2020), float32."""
    with torch.autocast(nodes.device.type, enabled=False):  # as in SparseMatrix
        return _MeanOverLayers.apply(nodes.to(graph.values.dtype), graph.values, graph.transpose, n_layers)


def draw_edges(weights: Tensor, share: float) -> Tensor:
    """Return the positions of ``floor(share * n_edges)`` edges, drawn without replacement in proportion to ``weights``.

    It uses torch's global generator, and exponential keys (Efraimidis and Spirakis 2006), since ``torch.multinomial`` accepts at
    most 2^24 edges.

    Args:
        weights: weight of each edge, (n_edges,), > 0.
        share: of the edges, in [0, 1].
    """
    keys = torch.empty_like(weights).exponential_() / weights
    n_drawn = int(share * len(weights) + 1e-6)  # in floating point, 1 - 0.8 is less than 0.2
    return keys.topk(n_drawn, largest=False, sorted=False).indices
