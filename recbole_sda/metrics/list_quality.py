"""Metrics of top-k lists that need no right items: popularity, novelty, spread, diversity and calibration.

Lists are a matrix of item ids, (n_lists, k), best first; 0 is no item. Popularity is the number of training interactions.
"""

from typing import Dict, Sequence

import numpy as np
import scipy.sparse as sp

from recbole_sda.metrics.groups import coverage_and_gini

BLOCK = 2**22  # numbers of a block of lists in memory at a time
SMOOTHING = 0.01  # alpha of Steck (RecSys 2018): share of the history's distribution that is mixed into the list's
LIST_METRICS = ("arp", "aplt", "aclt", "novelty", "coverage", "gini", "diversity", "calibration")


def popularity_metrics(lists: np.ndarray, popularity: np.ndarray, tail: np.ndarray, n_users: int) -> Dict[str, float]:
    """Return the metrics that follow from the items' popularity.

    Args:
        lists: (n_lists, k).
        popularity: training interactions of each item, (n_items,); row 0 is padding.
        tail: which items are tail items, (n_items,), bool.
        n_users: number of users of the data set.

    Returns:
        ``arp``: mean over the lists of the mean popularity of their items. ``aplt``: mean share of tail items in a list. ``aclt``:
        mean number of tail items in a list. ``novelty``: mean over the lists of the mean self-information of their items in bits,
        ``-log2(popularity / n_users)``; an item without interactions counts as one with one. ``coverage`` and ``gini``: see
        :func:`~recbole_sda.metrics.groups.coverage_and_gini`. Empty without a list of at least one item.

    Example:
        >>> found = popularity_metrics(np.array([[1, 2], [1, 3]]), np.array([0, 8, 2, 1]), np.array([False, False, True, True]), 8)
        >>> found["arp"], found["aplt"], found["aclt"], found["novelty"]
        (4.75, 0.5, 1.0, 1.25)
    """
    lists = lists[(lists > 0).any(axis=1)]
    if not len(lists):
        return {}
    filled, length = lists > 0, (lists > 0).sum(axis=1)
    information = -np.log2(np.clip(popularity, 1, None) / n_users).clip(max=0.0)
    n_tail = (tail[lists] & filled).sum(axis=1)
    spread = coverage_and_gini(np.bincount(lists[filled], minlength=len(popularity)), popularity)
    return {
        "arp": float((popularity[lists] * filled).sum(axis=1) @ (1 / length) / len(lists)),
        "aplt": float((n_tail / length).mean()),
        "aclt": float(n_tail.mean()),
        "novelty": float(((information[lists] * filled).sum(axis=1) / length).mean()),
        "coverage": spread["coverage"],
        "gini": spread["gini"],
    }


def diversities(lists: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return the intra-list diversity of each list: 1 - the mean cosine similarity of two of its items, (n_lists,), in [0, 2].

    Args:
        lists: (n_lists, k).
        unit: vectors of the items with length 1, (n_items, dim), float32; zero for items without one, which take no part.

    Returns:
        NaN for a list with fewer than two items that have vectors.

    Example:
        >>> unit = np.array([[0, 0], [1, 0], [0, 1], [1, 0]], dtype=np.float32)
        >>> diversities(np.array([[1, 2], [1, 3], [1, 0]]), unit).tolist()
        [1.0, 0.0, nan]
    """
    known = (unit != 0).any(axis=1)
    known[0] = False
    n = known[lists].sum(axis=1)
    total = np.zeros(len(lists))
    step = max(1, BLOCK // max(1, lists.shape[1] * unit.shape[1]))
    for start in range(0, len(lists), step):
        part = lists[start : start + step]
        sums = (unit[part] * known[part][:, :, None]).sum(axis=1)
        total[start : start + step] = np.square(sums, dtype=np.float64).sum(axis=1)
    pairs = n * (n - 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n > 1, 1 - (total - n) / pairs, np.nan)


def category_shares(categories: Sequence[Sequence[str]]) -> sp.csr_matrix:
    """Return the share of each category in each item, (n_items, n_categories): 1 / n for each of n categories of an item.

    Example:
        >>> category_shares([[], ["drama"], ["drama", "war"]]).toarray().tolist()
        [[0.0, 0.0], [1.0, 0.0], [0.5, 0.5]]
    """
    names = {name: column for column, name in enumerate(sorted({name for row in categories for name in row}))}
    rows = [row for row, given in enumerate(categories) for _ in set(given)]
    columns = [names[name] for given in categories for name in sorted(set(given))]
    values = [1 / len(set(given)) for given in categories for _ in set(given)]
    return sp.csr_matrix((values, (rows, columns)), shape=(len(categories), len(names)))


def miscalibration(
    lists: np.ndarray, users: np.ndarray, history: sp.csr_matrix, shares: sp.csr_matrix, alpha: float = SMOOTHING
) -> np.ndarray:
    """Return how far the categories of each list are from those of its user's history, in nats.

    The value is ``KL(p || (1 - alpha) q + alpha p)``, 0 if calibrated. p is the mean of the shares of categories of the user's
    items, q that of the items of the list (Steck, RecSys 2018, without weights by time or rank). Items without a category take no
    part.

    Args:
        lists: (n_lists, k).
        users: user of each list, (n_lists,).
        history: how often each user has each item, (n_users, n_items).
        shares: from :func:`category_shares`, (n_items, n_categories).
        alpha: in (0, 1).

    Returns:
        (n_lists,); NaN where the history or the list has no item with a category.

    Example:
        >>> shares = category_shares([[], ["drama"], ["war"]])
        >>> history = sp.csr_matrix(np.array([[0, 0, 0], [0, 3, 0]]))
        >>> miscalibration(np.array([[1], [2]]), np.array([1, 1]), history, shares).round(4).tolist()
        [0.0, 4.6052]
    """
    result = np.full(len(lists), np.nan)
    step = max(1, BLOCK // max(1, shares.shape[1]))
    for start in range(0, len(lists), step):
        part = lists[start : start + step]
        rows = np.repeat(np.arange(len(part)), part.shape[1])
        chosen = sp.csr_matrix((np.ones(part.size), (rows, part.ravel())), shape=(len(part), shares.shape[0]))
        q, p = _distribution(chosen @ shares), _distribution(history[users[start : start + step]] @ shares)
        mixed = (1 - alpha) * q + alpha * p
        with np.errstate(invalid="ignore", divide="ignore"):
            terms = np.where(p > 0, p * np.log(p / mixed), 0.0)
        both = (p.sum(axis=1) > 0) & (q.sum(axis=1) > 0)
        result[start : start + step] = np.where(both, np.maximum(terms.sum(axis=1), 0.0), np.nan)
    return result


def _distribution(sums: sp.csr_matrix) -> np.ndarray:
    """Return the rows divided by their sums; rows of zeros stay."""
    dense = np.asarray(sums.todense(), dtype=np.float64)
    total = dense.sum(axis=1, keepdims=True)
    return dense / np.where(total > 0, total, 1.0)
