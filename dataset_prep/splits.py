"""Splits written down: which interactions are for training, validation and test."""

from typing import Dict, Sequence

import numpy as np

from dataset_prep.interactions import Interactions
from recbole_sda.errors import InputError

PARTS = ("train", "valid", "test")
SPLITS = ("none", "leave-one-out", "ratio", "time")


def leave_one_out(data: Interactions) -> np.ndarray:
    """Return the part of each interaction (0 train, 1 valid, 2 test): a user's last one is test, the one before validation.

    Users with fewer than three interactions are for training alone.
    """
    from_end, size = _from_end(data)
    part = np.zeros(len(data), dtype=np.int8)
    part[(from_end == 1) & (size >= 3)] = 1
    part[(from_end == 0) & (size >= 3)] = 2
    return part


def ratio(data: Interactions, shares: Sequence[float]) -> np.ndarray:
    """Return the part of each interaction, each user's in time order cut by shares, such as 8, 1, 1.

    Validation and test get ``floor`` of their share, at least one where the user has three or more; the rest is for training.
    """
    if len(shares) != 3 or min(shares) < 0 or shares[0] <= 0:
        raise InputError(f"ratio={list(shares)}: expected three shares for training, validation and test, as 8 1 1")
    from_end, size = _from_end(data)
    valid, test = (np.floor(size * share / sum(shares)).astype(int) for share in shares[1:])
    enough = size >= 3
    valid, test = (
        np.where(enough & (share > 0), np.maximum(n, 1), 0) for n, share in ((valid, shares[1]), (test, shares[2]))
    )
    part = np.zeros(len(data), dtype=np.int8)
    part[from_end < valid + test] = 1
    part[from_end < test] = 2
    return part


def by_time(data: Interactions, valid_from: int, test_from: int) -> np.ndarray:
    """Return the part of each interaction: before ``valid_from`` train, before ``test_from`` validation, then test."""
    if valid_from > test_from:
        raise InputError(f"time split: validation begins at {valid_from}, after the test at {test_from}")
    return ((data.time >= valid_from).astype(np.int8) + (data.time >= test_from)).astype(np.int8)


def _from_end(data: Interactions):
    """Return how many of a user's interactions come after each, and how many the user has."""
    order = np.lexsort((data.time, data.user))
    user = data.user[order]
    size = np.bincount(data.user, minlength=1)
    ends = np.cumsum(size)
    from_end = np.empty(len(data), dtype=np.int64)
    from_end[order] = ends[user] - 1 - np.arange(len(user))
    return from_end, size[data.user]


def counts(part: np.ndarray) -> Dict[str, int]:
    """Return the size of each part."""
    return {name: int((part == k).sum()) for k, name in enumerate(PARTS)}
