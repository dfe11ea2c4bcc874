"""Metrics by groups: tail and head items, cold items, users with short and long histories; coverage of the catalogue.

Groups depend on the training part only: the popularity of an item and the history length of a user count training interactions. The
paper's reference code counts all interactions, including those of the test part.
"""

from typing import Dict, Sequence

import numpy as np

from recbole_sda.metrics.ranks import Cases, case_metrics, list_metrics, list_users, mean_metrics

N_GROUPS = 5  # as many groups of items and of users as in the reference code


def below_limit(counts: np.ndarray, limit: float) -> np.ndarray:
    """Return which counts are below a limit, (n,), bool.

    Args:
        counts: number of interactions of each item or user, (n,).
        limit: >= 0. From 1, a number of interactions. Under 1, a share: those with the fewest interactions are below. Ties at the
            edge are not, so the group is never larger than the share.
    """
    if limit >= 1 or not len(counts):
        return counts < limit
    return counts < np.sort(counts)[min(int(limit * len(counts)), len(counts) - 1)]


def quintiles(counts: np.ndarray) -> np.ndarray:
    """Return the quintile of each count, (n,), from 0 (fewest interactions) to 4; equal counts are in the same quintile."""
    if not len(counts):
        return np.empty(0, dtype=int)
    edges = np.quantile(counts, np.arange(1, N_GROUPS) / N_GROUPS, method="higher")
    return np.searchsorted(edges, counts, side="right")


def tail_items(popularity: np.ndarray, limit: float) -> np.ndarray:
    """Return which items are tail items, (n_items,), bool.

    Args:
        popularity: training interactions of each item, (n_items,); row 0 is padding and never a tail item.
        limit: see :func:`below_limit`.
    """
    return np.append(False, below_limit(popularity[1:], limit))


def short_users(cases: Cases, history: np.ndarray, limit: float) -> np.ndarray:
    """Return which cases belong to users with a short history, (n_cases,), bool.

    Args:
        cases: of the evaluation.
        history: training interactions of each user, (n_users,); row 0 is padding.
        limit: see :func:`below_limit`; a share is one of the ranked lists.
    """
    list_of_case = np.unique(cases.row, return_inverse=True)[1]
    return below_limit(history[list_users(cases)], limit)[list_of_case]


def item_groups(cases: Cases, popularity: np.ndarray, topk: Sequence[int], tail: float) -> Dict[str, Dict[str, float]]:
    """Return the metrics of cases by the popularity of their item: cold, warm, tail, head, and quintiles of the items.

    Args:
        cases: of the evaluation.
        popularity: training interactions of each item, (n_items,); row 0 is padding.
        topk: cut-offs k.
        tail: limit of tail items, see :func:`below_limit`. Cold items (no training interaction) are tail items too; warm items have
            at least one.

    Returns:
        Group -> metrics as in :func:`~recbole_sda.metrics.ranks.mean_metrics`.
    """
    values, case_popularity = case_metrics(cases, topk), popularity[cases.item]
    is_tail = tail_items(popularity, tail)[cases.item]
    quintile = np.append(-1, quintiles(popularity[1:]))[cases.item]
    groups = {"cold": case_popularity == 0, "warm": case_popularity > 0, "tail": is_tail, "head": ~is_tail}
    groups |= _by_quintile(quintile)
    return {name: mean_metrics(values, chosen) for name, chosen in groups.items()}


def user_groups(cases: Cases, history: np.ndarray, topk: Sequence[int], short: float) -> Dict[str, Dict[str, float]]:
    """Return the metrics of ranked lists by the history length of their user: short, long, and quintiles of the lists.

    Args:
        cases: of the evaluation.
        history: training interactions of each user, (n_users,); row 0 is padding.
        topk: cut-offs k.
        short: limit of a short history, see :func:`below_limit`; a share is one of the ranked lists.

    Returns:
        Group -> metrics as in :func:`~recbole_sda.metrics.ranks.mean_metrics`.
    """
    values, length = list_metrics(cases, topk), history[list_users(cases)]
    is_short = below_limit(length, short)
    groups = {"short": is_short, "long": ~is_short} | _by_quintile(quintiles(length))
    return {name: mean_metrics(values, chosen) for name, chosen in groups.items()}


def _by_quintile(quintile: np.ndarray) -> Dict[str, np.ndarray]:
    return {f"quintile {k + 1}": quintile == k for k in range(N_GROUPS)}


def coverage_and_gini(recommended: np.ndarray, popularity: np.ndarray) -> Dict[str, float]:
    """Return how recommendations are distributed over the catalogue.

    Args:
        recommended: number of top-k lists that contain each item, (n_items,); row 0 is padding.
        popularity: training interactions of each item, (n_items,).

    Returns:
        ``coverage``: share of items that occur in at least one list. ``gini``: Gini coefficient of ``recommended``, from 0 (all
        items equally often) to nearly 1 (one item only). ``average_popularity``: mean popularity over all places of the lists.
        All are zero if nothing is recommended.
    """
    times = np.sort(recommended[1:].astype(float))
    n, total = len(times), times.sum()
    if total == 0:
        return {"coverage": 0.0, "gini": 0.0, "average_popularity": 0.0}
    gini = float(((2 * np.arange(1, n + 1) - n - 1) * times).sum() / (n * total))
    average = float((recommended * popularity).sum() / total)
    return {"coverage": float((times > 0).mean()), "gini": gini, "average_popularity": average}
