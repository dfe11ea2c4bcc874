"""Similarity of items by the users that they share: built in blocks, cached by a hash of its inputs."""

import hashlib
import json
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from recbole_sda.io.cache import load_or_compute

SHRINKAGE = 3.0  # where no key sets it; the default of SequenceKNN's knn_shrinkage
BLOCK_ENTRIES = 2**24  # of the item-item matrix, in memory at once before k of each row are kept: about 1 GB


def cooccurrence_similarity(
    users: np.ndarray, items: np.ndarray, n_users: int, n_items: int, shrinkage: float, k: Optional[int] = None
) -> sp.csr_matrix:
    """Return the shrunk cosine similarity of items, ``c_ij / (sqrt(n_i n_j) + shrinkage)``.

    ``c_ij`` is the number of users with both items and ``n_i`` the number of users with item i. Shrinkage lowers the similarity of
    items that few users share.

    Memory in addition to the result: a block of rows of the item-item matrix (see :data:`BLOCK_ENTRIES`).

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
    return _similarity(_distinct_pairs(users, items, n_items), n_users, n_items, shrinkage, k)


def cached_similarity(
    folder: Optional[Path],
    users: np.ndarray,
    items: np.ndarray,
    n_users: int,
    n_items: int,
    shrinkage: float,
    k: Optional[int] = None,
) -> sp.csr_matrix:
    """Return :func:`cooccurrence_similarity`, cached in a file of ``folder``; None does not cache.

    The name of the file holds a hash of the distinct interactions and of the other arguments.
    """
    pairs = _distinct_pairs(users, items, n_items)
    if folder is None:
        return _similarity(pairs, n_users, n_items, shrinkage, k)
    settings = {"n_users": n_users, "n_items": n_items, "shrinkage": float(shrinkage), "k": k, "format": 1}
    digest = hashlib.sha256(json.dumps(settings).encode())
    digest.update(pairs.data)
    path = Path(folder) / f"cooccurrence-{digest.hexdigest()[:16]}.safetensors"
    parts = load_or_compute(path, lambda: _tensors(_similarity(pairs, n_users, n_items, shrinkage, k)))
    values, columns, starts = (parts[name].numpy() for name in ("data", "indices", "indptr"))
    return sp.csr_matrix((values, columns, starts), shape=(n_items, n_items))


def _tensors(matrix: sp.csr_matrix) -> Dict[str, Tensor]:
    return {name: torch.from_numpy(getattr(matrix, name)) for name in ("data", "indices", "indptr")}


def _distinct_pairs(users: np.ndarray, items: np.ndarray, n_items: int) -> np.ndarray:
    """Return ``user * n_items + item`` of the interactions, ascending and distinct, int64."""
    return np.unique(users.astype(np.int64) * n_items + items)


def _similarity(pairs: np.ndarray, n_users: int, n_items: int, shrinkage: float, k: Optional[int]) -> sp.csr_matrix:
    ones = np.ones(len(pairs), dtype=np.float32)
    matrix = sp.csr_matrix((ones, (pairs // n_items, pairs % n_items)), shape=(n_users, n_items))
    root = np.sqrt(np.asarray(matrix.sum(axis=0)).ravel())
    by_item, blocks = matrix.T.tocsr(), []
    for start, end in _blocks(matrix, by_item):
        block = (by_item[start:end] @ matrix).tocoo()
        different = block.row + start != block.col
        row, column, count = block.row[different], block.col[different], block.data[different]
        value = count / (root[row + start] * root[column] + shrinkage)
        blocks.append(_largest(row, column, value.astype(np.float32), block.shape, k))
    return sp.vstack(blocks).tocsr()


def _blocks(matrix: sp.csr_matrix, by_item: sp.csr_matrix) -> List[Tuple[int, int]]:
    """Return the first and the next item of blocks whose rows of the product have about :data:`BLOCK_ENTRIES` entries or fewer."""
    per_item = by_item.astype(np.float64) @ np.diff(matrix.indptr)  # the item's pairs with all items of its users
    block = (np.cumsum(per_item) // BLOCK_ENTRIES).astype(np.int64)
    starts = np.flatnonzero(np.diff(block, prepend=-1))
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(per_item)]))


def _largest(row: np.ndarray, column: np.ndarray, value: np.ndarray, shape: tuple, k: Optional[int]) -> sp.csr_matrix:
    """Return a sparse matrix with the k largest entries of each row; among equal ones, those of lower columns."""
    if k is not None:
        crowded = np.flatnonzero((np.bincount(row, minlength=shape[0]) > k)[row])
        order = crowded[np.lexsort((column[crowded], -value[crowded], row[crowded]))]
        first = np.searchsorted(row[order], np.arange(shape[0]))
        kept = np.ones(len(row), dtype=bool)
        kept[order[np.arange(len(order)) - first[row[order]] >= k]] = False
        row, column, value = row[kept], column[kept], value[kept]
    return sp.csr_matrix((value, (row, column)), shape=shape)
