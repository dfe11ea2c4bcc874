"""Splits that are written to files: which interactions are for training, validation and test."""

from math import inf
from typing import Dict, Sequence, Tuple

import numpy as np

from dataset_prep.interactions import Interactions
from recbole_sda.errors import InputError

PARTS = ("train", "valid", "test")
SPLITS = ("none", "leave-one-out", "ratio", "time")


def leave_one_out(data: Interactions) -> np.ndarray:
    """Return the part of each interaction, a position in ``PARTS``: a user's last one is test, the one before validation.

    Interactions of users with fewer than three are all for training.
    """
    from_end, size = _from_end(data)
    part = np.zeros(len(data), dtype=np.int8)
    part[(from_end == 1) & (size >= 3)] = 1
    part[(from_end == 0) & (size >= 3)] = 2
    return part


def ratio(data: Interactions, shares: Sequence[float]) -> np.ndarray:
    """Return the part of each interaction, a position in ``PARTS``: each user's history in time, cut by shares.

    Validation and test get ``floor`` of their share, at least one interaction for users with three or more. The others
    are for training.

    Args:
        data: the interactions.
        shares: of training, validation and test, such as 8, 1, 1.

    Raises:
        InputError: there are not three shares, one is negative or not finite, or that of training is 0.
    """
    if len(shares) != 3 or not all(0 <= share < inf for share in shares) or shares[0] == 0:
        raise InputError(f"ratio={list(shares)}: expected three shares for training, validation and test, as 8 1 1")
    from_end, size = _from_end(data)
    valid, test = (
        np.where((size >= 3) & (share > 0), np.maximum(np.floor(size * share / sum(shares)).astype(int), 1), 0)
        for share in shares[1:]
    )
    part = np.zeros(len(data), dtype=np.int8)
    part[from_end < valid + test] = 1
    part[from_end < test] = 2
    return part


def by_time(data: Interactions, valid_from: float, test_from: float) -> np.ndarray:
    """Return the part of each interaction, a position in ``PARTS``.

    Before ``valid_from`` it is training, from then on validation, and from ``test_from`` on test.

    Raises:
        InputError: validation begins after the test.
    """
    if valid_from > test_from:
        raise InputError(f"--split-at {valid_from:g} {test_from:g}: validation begins after the test")
    return ((data.time >= valid_from).astype(np.int8) + (data.time >= test_from)).astype(np.int8)


def _from_end(data: Interactions) -> Tuple[np.ndarray, np.ndarray]:
    """Return, for each interaction, how many later ones its user has, and how many the user has in total."""
    order = np.lexsort((data.time, data.user))
    user = data.user[order]
    size = np.bincount(data.user, minlength=1)
    ends = np.cumsum(size)
    from_end = np.empty(len(data), dtype=np.int64)
    from_end[order] = ends[user] - 1 - np.arange(len(user))
    return from_end, size[data.user]


def check_parts(part: np.ndarray, where: str) -> None:
    """Refuse a split without training or test interactions; ``where`` is the option or the file, for the message."""
    sizes = counts(part)
    for label in ("train", "test"):
        if not sizes[label]:
            raise InputError(
                f"{where} leaves no {label} interactions ({', '.join(f'{k} {n:,}' for k, n in sizes.items())})"
            )


def counts(part: np.ndarray) -> Dict[str, int]:
    """Return the size of each part."""
    return {name: int((part == k).sum()) for k, name in enumerate(PARTS)}
