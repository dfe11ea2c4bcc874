"""Filters of interactions: repetitions, ratings, times, k-core, history length."""

from typing import Optional

import numpy as np

from dataset_prep.interactions import Interactions
from recbole_sda.errors import InputError

REPETITIONS = ("first", "last", "all")


def deduplicate(data: Interactions, keep: str = "first") -> Interactions:
    """Return one interaction of each user-item pair, the first or the last in time; or all.

    Among interactions of the same time, the first (or last) one in the file is used.

    Raises:
        InputError: ``keep`` is not one of ``REPETITIONS``.
    """
    if keep not in REPETITIONS:
        raise InputError(f"repetitions={keep!r}: allowed are {', '.join(REPETITIONS)}")
    if keep == "all" or not len(data):
        return data
    pair = data.user.astype(np.int64) * (int(data.item.max()) + 1) + data.item
    order = np.lexsort((data.time, pair))  # stable: the file's order breaks ties
    ordered = pair[order]
    edge = np.ones(len(order), dtype=bool)
    if keep == "first":
        edge[1:] = ordered[1:] != ordered[:-1]
    else:
        edge[:-1] = ordered[1:] != ordered[:-1]
    return data.take(np.sort(order[edge]))


def at_least_rated(data: Interactions, lowest: float) -> Interactions:
    """Return the interactions rated ``lowest`` or better, without unrated ones."""
    return data.take(data.rating >= lowest)


def between(data: Interactions, start: Optional[float], end: Optional[float]) -> Interactions:
    """Return the interactions with ``start`` <= time < ``end``, in the units of ``time``; None is no limit."""
    chosen = np.ones(len(data), dtype=bool)
    if start is not None:
        chosen &= data.time >= start
    if end is not None:
        chosen &= data.time < end
    return data.take(chosen)


def k_core(data: Interactions, users: int, items: int) -> Interactions:
    """Return the largest part in which every user has at least ``users`` interactions and every item ``items``."""
    while True:
        frequent = _frequent(data, users, items)
        if frequent.all():
            return data
        data = data.take(frequent)


def one_pass(data: Interactions, users: int, items: int) -> Interactions:
    """Return the interactions whose user and item are frequent in the given data.

    Since others are removed at the same time, the result may contain users and items below the limits. This is the
    filter of the paper's reference code.
    """
    return data.take(_frequent(data, users, items))


def _frequent(data: Interactions, users: int, items: int) -> np.ndarray:
    of_user, of_item = np.bincount(data.user, minlength=1), np.bincount(data.item, minlength=1)
    return (of_user[data.user] >= users) & (of_item[data.item] >= items)


def most_recent(data: Interactions, n: int) -> Interactions:
    """Return each user's last ``n`` interactions in time."""
    order = np.lexsort((data.time, data.user))
    user = data.user[order]
    ends = np.append(np.flatnonzero(user[1:] != user[:-1]), len(user) - 1)
    last = np.repeat(ends, np.diff(np.append(-1, ends)))
    return data.take(np.sort(order[last - np.arange(len(user)) < n])) if len(data) else data
