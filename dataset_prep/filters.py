"""What is kept of the interactions: repetitions, ratings, times, k-core."""

from typing import Optional

import numpy as np

from dataset_prep.interactions import Interactions
from recbole_sda.errors import InputError

KEEP = ("first", "last", "all")


def deduplicate(data: Interactions, keep: str = "first") -> Interactions:
    """Return each pair of user and item once: its first or its last interaction in time, or all.

    Among interactions of one time, the one that comes first (or last) in the file.
    """
    if keep not in KEEP:
        raise InputError(f"repetitions={keep!r}: allowed are {', '.join(KEEP)}")
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
    """Return the interactions rated ``lowest`` or better; unrated ones are left out."""
    return data.take(data.rating >= lowest)


def between(data: Interactions, start: Optional[int], end: Optional[int]) -> Interactions:
    """Return the interactions from ``start`` on and before ``end``, in the units of ``time``."""
    kept = np.ones(len(data), dtype=bool)
    if start is not None:
        kept &= data.time >= start
    if end is not None:
        kept &= data.time < end
    return data.take(kept)


def k_core(data: Interactions, users: int, items: int) -> Interactions:
    """Return the largest part in which every user has at least ``users`` interactions and every item ``items``."""
    while True:
        kept = _frequent(data, users, items)
        if kept.all():
            return data
        data = data.take(kept)


def one_pass(data: Interactions, users: int, items: int) -> Interactions:
    """Return the interactions whose user and item are frequent in the data as given, in one pass.

    What is left may hold users and items below the limits, since others were taken out beside them. This is the filter of
    the paper's reference code.
    """
    return data.take(_frequent(data, users, items))


def _frequent(data: Interactions, users: int, items: int) -> np.ndarray:
    of_user, of_item = np.bincount(data.user, minlength=1), np.bincount(data.item, minlength=1)
    return (of_user[data.user] >= users) & (of_item[data.item] >= items)


def longest(data: Interactions, most: int) -> Interactions:
    """Return each user's last ``most`` interactions in time."""
    order = np.lexsort((data.time, data.user))
    user = data.user[order]
    ends = np.append(np.flatnonzero(user[1:] != user[:-1]), len(user) - 1)
    last = np.repeat(ends, np.diff(np.append(-1, ends)))
    return data.take(np.sort(order[last - np.arange(len(user)) < most])) if len(data) else data
