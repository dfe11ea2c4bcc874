"""Rec-PCA: principal axes that also bring items together which the same users have (arXiv 2604.20490).

The axes V maximise ``tr(V^T C V) - gamma r tr(V^T X^T L X V) / m`` under ``V^T V = I``: the leading eigenvectors of
``C - gamma r X^T L X / m``. X (m, dim) are the centred vectors, C is their covariance, and ``L = I - D^-1/2 S D^-1/2`` is the
normalised Laplacian of the items' co-occurrence S in the training interactions. ``r = tr(C) / tr(X^T L X / m)`` makes both terms
equally large at gamma = 1.
"""

import hashlib
from typing import Sequence

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.csgraph import laplacian

from recbole_sda.features.store import FeatureStore
from recbole_sda.graphs.cooccurrence import SHRINKAGE, cooccurrence_similarity


def cooccurrence_of_rows(
    store: FeatureStore, tokens: Sequence[str], users: np.ndarray, items: np.ndarray, n_users: int
) -> sp.csr_matrix:
    """Return the co-occurrence of a store's items in a run's training interactions.

    Args:
        store: the store.
        tokens: external token of each internal item id, (n_items,).
        users, items: internal ids of the training interactions, (n_interactions,); those with items that the store does not
            have are left out.
        n_users: number of users including the padding user 0.

    Returns:
        :func:`~recbole_sda.graphs.cooccurrence.cooccurrence_similarity` with its ``SHRINKAGE``, in the order of the store's
        rows, (n_rows, n_rows), float32.
    """
    row = store.rows(tokens).numpy()[items]
    in_store = row >= 0
    return cooccurrence_similarity(users[in_store], row[in_store], n_users, len(store.item_ids), SHRINKAGE)


def graph_sha256(graph: sp.csr_matrix) -> str:
    """Return the SHA-256 of a sparse matrix, whatever the order of the entries within a row.

    Example:
        >>> one, other = sp.csr_matrix([[0.0, 1.0]]), sp.csr_matrix([[1.0, 0.0]])
        >>> graph_sha256(one) == graph_sha256(one.copy()), graph_sha256(one) == graph_sha256(other)
        (True, False)
    """
    graph = graph.tocsr(copy=True)
    graph.sum_duplicates()
    digest = hashlib.sha256(repr(graph.shape).encode())
    for part, kind in ((graph.indptr, np.int64), (graph.indices, np.int64), (graph.data, np.float32)):
        digest.update(np.ascontiguousarray(part, dtype=kind).data)
    return digest.hexdigest()


def rec_pca_axes(centred: np.ndarray, graph: sp.csr_matrix, size: int, gamma: float) -> np.ndarray:
    """Return the axes V of the module's formula, in the order of falling eigenvalues, (dim, size), float64.

    The largest loading of each axis is positive, so that signs do not depend on the linear algebra library. An item without an
    edge has no part in the Laplacian's term.

    Args:
        centred: X, (m, dim), float64, with mean 0.
        graph: S, symmetric and not negative, with an empty diagonal, (m, m).
        size: number of axes, at most dim.
        gamma: weight of the Laplacian's term, >= 0; with 0 the result is that of PCA.

    Example:
        >>> centred = np.array([[2.0, 1.0], [-2.0, 1.0], [2.0, -1.0], [-2.0, -1.0]])
        >>> pairs = sp.csr_matrix(np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]))  # equal second values
        >>> rec_pca_axes(centred, pairs, 1, gamma=0.0).round(2).tolist(), rec_pca_axes(centred, pairs, 1, gamma=1.0).tolist()
        ([[1.0], [0.0]], [[0.0], [1.0]])
    """
    tiny = np.finfo(np.float64).tiny
    covariance = centred.T @ centred
    penalty = centred.T @ (laplacian(graph.astype(np.float64), normed=True) @ centred)
    # Dividing each term by its trace leaves the eigenvectors of the formula unchanged.
    objective = covariance / max(np.trace(covariance), tiny) - gamma * penalty / max(np.trace(penalty), tiny)
    dim = len(objective)
    _, axes = scipy.linalg.eigh((objective + objective.T) / 2, subset_by_index=[dim - size, dim - 1])
    axes = axes[:, ::-1]
    largest = np.abs(axes).argmax(axis=0)
    return axes * np.sign(axes[largest, np.arange(size)])
