"""How often linked items have users in common, compared with items that are linked at random."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

BLOCK_PAIRS = 2**20  # interactions of the users whose products are in memory at once


class SharedUsers(NamedTuple):
    """Users that linked items have in common.

    Attributes:
        observed: number of pairs of a user and a link whose two items the user has.
        expected: the same number if the items of each link were drawn at random, in proportion to their numbers of users.
    """

    observed: float
    expected: float

    @property
    def lift(self) -> float:
        """``observed / expected``; 1 where nothing is expected."""
        return self.observed / self.expected if self.expected > 0 else 1.0


def shared_users(graph: sp.csr_matrix, users: np.ndarray, items: np.ndarray, n_users: int) -> SharedUsers:
    """Count the users that the two items of each link have in common.

    A user with d items has d (d - 1) ordered pairs of them. The sum P over the users is spread over all pairs of items in
    proportion to ``n_i n_j``, the product of their numbers of users, which gives what is expected of a link.

    Args:
        graph: (n_items, n_items); its entries are the links, whatever their value. None links an item with itself.
        users, items: ids of each interaction, (n_interactions,); a repeated pair counts once.
        n_users: number of users.

    Example:
        >>> graph = sp.csr_matrix(np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]))
        >>> shared = shared_users(graph, np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3]), 2)
        >>> shared.observed, round(shared.expected, 2), round(shared.lift, 2)
        (4.0, 1.33, 3.0)
    """
    n_items = graph.shape[0]
    links = sp.csr_matrix((np.ones(graph.nnz, np.float32), graph.indices, graph.indptr), shape=graph.shape)
    pairs = np.unique(users.astype(np.int64) * n_items + items)
    has = sp.csr_matrix(
        (np.ones(len(pairs), np.float32), (pairs // n_items, pairs % n_items)), shape=(n_users, n_items)
    )
    ends = np.searchsorted(has.indptr, np.arange(BLOCK_PAIRS, len(pairs) + BLOCK_PAIRS, BLOCK_PAIRS), side="left")
    observed, start = 0.0, 0
    for end in np.minimum(ends, n_users).tolist():
        block = has[start:end]
        observed += float((block @ links).multiply(block).sum(dtype=np.float64))
        start = end
    per_item = np.bincount(pairs % n_items, minlength=n_items).astype(np.float64)
    per_user = np.diff(has.indptr).astype(np.float64)
    together = float((per_user * (per_user - 1)).sum())
    all_pairs = float(per_item.sum() ** 2 - (per_item**2).sum())
    expected = float(per_item @ (links @ per_item)) * together / all_pairs if all_pairs > 0 else 0.0
    return SharedUsers(observed, expected)
