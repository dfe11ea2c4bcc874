"""Similarity of items by the users that they share."""

from typing import List, Optional

import numpy as np
import scipy.sparse as sp

SHRINKAGE = 3.0  # where no key sets it; the default of SequenceKNN's knn_shrinkage
BLOCK_ITEMS = 4096  # rows of the item-item matrix that are in memory at once, before they are cut to k entries


def cooccurrence_similarity(
    users: np.ndarray, items: np.ndarray, n_users: int, n_items: int, shrinkage: float, k: Optional[int] = None
) -> sp.csr_matrix:
    """Return the shrunk cosine similarity of items, ``c_ij / (sqrt(n_i n_j) + shrinkage)``.

    ``c_ij`` is the number of users with both items and ``n_i`` the number of users with item i. Shrinkage lowers the similarity of
    items that few users share.

    Args:
        users, items: ids of each interaction, (n_interactions,); a repeated pair counts once.
        n_users, n_items: numbers of ids; id 0 is padding.
        shrinkage: >= 0.
        k: entries of each row to keep, the largest ones; None: all.

    Returns:
        (n_items, n_items), float32, with an empty diagonal.

    Example:
        >>> similarity = cooccurrence_similarity(np.array([1, 1, 2, 2]), np.array([1, 2, 1, 3]), 3, 4, shrinkage=0.0)
        >>> similarity.toarray().astype(float).round(2)[1:, 1:].tolist()
        [[0.0, 0.71, 0.71], [0.71, 0.0, 0.0], [0.71, 0.0, 0.0]]
    """
    pairs = np.unique(users.astype(np.int64) * n_items + items)
    ones = np.ones(len(pairs), dtype=np.float32)
    matrix = sp.csr_matrix((ones, (pairs // n_items, pairs % n_items)), shape=(n_users, n_items))
    root = np.sqrt(np.asarray(matrix.sum(axis=0)).ravel())
    by_item, blocks = matrix.T.tocsr(), []
    for start in range(0, n_items, BLOCK_ITEMS):
        block = (by_item[start : start + BLOCK_ITEMS] @ matrix).tocoo()
        different = block.row + start != block.col
        row, column, count = block.row[different], block.col[different], block.data[different]
        value = count / (root[row + start] * root[column] + shrinkage)
        blocks.append(_largest(row, column, value.astype(np.float32), block.shape, k))
    return sp.vstack(blocks).tocsr()


def _largest(row: np.ndarray, column: np.ndarray, value: np.ndarray, shape: tuple, k: Optional[int]) -> sp.csr_matrix:
    """Return a sparse matrix with the k largest entries of each row; among equal ones, those of lower columns."""
    if k is not None:
        order = np.lexsort((column, -value, row))
        row, column, value = row[order], column[order], value[order]
        first: List[int] = np.searchsorted(row, np.arange(shape[0])).tolist()
        kept = np.arange(len(row)) - np.asarray(first)[row] < k
        row, column, value = row[kept], column[kept], value[kept]
    return sp.csr_matrix((value, (row, column)), shape=shape)
