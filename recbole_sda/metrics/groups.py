"""Metrics by groups: tail and head items, cold items, short and long users, and how wide recommendations spread.

Groups follow the training part alone: an item's popularity and a user's history count training interactions. The paper's
reference counts all interactions, test included.
"""

from typing import Dict, Sequence

import numpy as np

from recbole_sda.metrics.ranks import Cases, means, per_case, per_row, users_of

N_GROUPS = 5  # the reference's number of groups of items and of users


def below_limit(counts: np.ndarray, limit: float) -> np.ndarray:
    """Return who is below a limit: a number of interactions, or, under 1, the share of those with the fewest.

    With a share, ties at its edge stay outside, so the group is never larger than the share.

    Args:
        counts: interactions of each, (n,).
        limit: >= 0.
    """
    if limit >= 1 or not len(counts):
        return counts < limit
    return counts < np.sort(counts)[min(int(limit * len(counts)), len(counts) - 1)]


def quintiles(counts: np.ndarray) -> np.ndarray:
    """Return the group of each from 0 (fewest interactions) to 4, of like size, equal counts always together."""
    if not len(counts):
        return np.empty(0, dtype=int)
    edges = np.quantile(counts, np.arange(1, N_GROUPS) / N_GROUPS, method="higher")
    return np.searchsorted(edges, counts, side="right")


def tail_items(popularity: np.ndarray, limit: float) -> np.ndarray:
    """Return which items are tail items, (n_items,), bool; never row 0, the padding. See :func:`below`."""
    return np.append(False, below_limit(popularity[1:], limit))


def short_users(cases: Cases, history: np.ndarray, limit: float) -> np.ndarray:
    """Return which cases are of users with a short history, (n_cases,), bool: :func:`below` among the evaluated lists."""
    group = np.unique(cases.row, return_inverse=True)[1]
    return below_limit(history[users_of(cases)], limit)[group]


def item_groups(cases: Cases, popularity: np.ndarray, topk: Sequence[int], tail: float) -> Dict[str, Dict[str, float]]:
    """Return the metrics of cases by the popularity of their item: cold, tail, head, and quintiles of the items.

    Args:
        cases: of the evaluation.
        popularity: training interactions of each item, (n_items,); row 0 is padding.
        topk: cut-offs.
        tail: see :func:`below`. Cold items (none in training) are tail items too.
    """
    values, of_case = per_case(cases, topk), popularity[cases.item]
    is_tail = tail_items(popularity, tail)[cases.item]
    quintile = np.append(-1, quintiles(popularity[1:]))[cases.item]
    found = {"cold": means(values, of_case == 0), "tail": means(values, is_tail), "head": means(values, ~is_tail)}
    return found | {f"quintile {k + 1}": means(values, quintile == k) for k in range(N_GROUPS)}


def user_groups(cases: Cases, history: np.ndarray, topk: Sequence[int], short: float) -> Dict[str, Dict[str, float]]:
    """Return the metrics of users by the length of their history: short, long, and quintiles of the evaluated users.

    Args:
        cases: of the evaluation.
        history: training interactions of each user, (n_users,); row 0 is padding.
        topk: cut-offs.
        short: see :func:`below`, among the evaluated users.
    """
    values, length = per_row(cases, topk), history[users_of(cases)]
    is_short, quintile = below_limit(length, short), quintiles(length)
    found = {"short": means(values, is_short), "long": means(values, ~is_short)}
    return found | {f"quintile {k + 1}": means(values, quintile == k) for k in range(N_GROUPS)}


def coverage_and_gini(recommended: np.ndarray, popularity: np.ndarray) -> Dict[str, float]:
    """Return how recommendations spread over the catalogue.

    Args:
        recommended: how often each item stands in a top-k list, (n_items,); row 0 is padding.
        popularity: training interactions of each item, (n_items,).

    Returns:
        ``coverage``: share of items recommended at all; ``gini``: 0 where all are alike often, towards 1 where one is alone;
        ``average_popularity`` of what is recommended.
    """
    times = np.sort(recommended[1:].astype(float))
    n, total = len(times), times.sum()
    if total == 0:
        return {"coverage": 0.0, "gini": 0.0, "average_popularity": 0.0}
    gini = float(((2 * np.arange(1, n + 1) - n - 1) * times).sum() / (n * total))
    average = float((recommended * popularity).sum() / total)
    return {"coverage": float((times > 0).mean()), "gini": gini, "average_popularity": average}
