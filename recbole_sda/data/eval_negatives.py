"""Sampled evaluation: negatives drawn once from a seed, for all cases together, and kept in a file."""

import hashlib
import logging
import os
import zipfile
from pathlib import Path
from typing import Sequence

import numpy as np

logger = logging.getLogger(__name__)

BLOCK = 2**22  # random keys held at a time


def draw_negatives(groups: np.ndarray, taken: np.ndarray, n_items: int, k: int, seed) -> np.ndarray:
    """Draw ``k`` distinct items for each row, uniformly from all items that its group has not taken.

    Args:
        groups: the group (a user, say) of each row, (n_rows,), int64.
        taken: ``group * n_items + item`` of what must not be drawn, ascending and distinct, int64.
        n_items: number of items with the padding item 0, which is never drawn.
        k: items per row.
        seed: of numpy's generator; same seed and rows, same items.

    Returns:
        Item ids, (n_rows, k), int64, ascending in each row.

    Raises:
        ValueError: a row has fewer than ``k`` items to draw from.
    """
    bounds = groups * n_items
    n_taken = np.searchsorted(taken, bounds + n_items) - np.searchsorted(taken, bounds)
    free = n_items - 1 - n_taken
    if len(free) and k > free.min():
        raise ValueError(f"{k} negatives are asked for, and a case has {max(free.min(), 0)} items to draw them from")
    rng = np.random.default_rng(seed)
    drawn = np.empty((len(groups), k), dtype=np.int64)
    crowded = 2 * (k + n_taken) > n_items
    rows = np.flatnonzero(crowded)
    for chosen in np.array_split(rows, max(1, -(-len(rows) * n_items // BLOCK))):
        drawn[chosen] = _from_shuffled(groups[chosen], taken, n_items, k, rng)
    rows = np.flatnonzero(~crowded)
    drawn[rows] = _by_rejection(groups[rows], taken, n_items, k, rng)
    return drawn


def _from_shuffled(groups: np.ndarray, taken: np.ndarray, n_items: int, k: int, rng) -> np.ndarray:
    """The first k of a shuffled catalogue, for rows where most draws would be rejected."""
    order = rng.random((len(groups), n_items))
    order[_is_in(groups[:, None] * n_items + np.arange(n_items), taken)] = 2.0
    order[:, 0] = 2.0
    return np.sort(np.argsort(order, axis=1)[:, :k], axis=1)


def _by_rejection(groups: np.ndarray, taken: np.ndarray, n_items: int, k: int, rng) -> np.ndarray:
    drawn = np.sort(rng.integers(1, n_items, (len(groups), k)), axis=1)
    left = np.arange(len(groups))
    while len(left):
        part = drawn[left]
        wrong = _is_in(groups[left, None] * n_items + part, taken)
        wrong[:, 1:] |= part[:, 1:] == part[:, :-1]
        part[wrong] = rng.integers(1, n_items, int(wrong.sum()))
        part.sort(axis=1)
        drawn[left] = part
        left = left[wrong.any(axis=1)]
    return drawn


def _is_in(keys: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Return which ``keys`` are in the ascending ``taken``."""
    if not len(taken):
        return np.zeros(keys.shape, dtype=bool)
    return taken[np.minimum(np.searchsorted(taken, keys), len(taken) - 1)] == keys


def fixed_negatives(
    folder, phase: str, groups: np.ndarray, taken: np.ndarray, tokens: Sequence[str], k: int, seed: int
) -> np.ndarray:
    """Return :func:`draw_negatives` of an evaluation phase, from ``folder`` where they were drawn before.

    The file's name holds a hash of everything that the draw depends on, so that another split or catalogue has a file of
    its own; a broken file is drawn again.

    Args:
        folder: where files are kept.
        phase: name of the evaluation part; each has a random stream of its own.
        groups, taken, k: see :func:`draw_negatives`.
        tokens: external token of each item id, (n_items,).
        seed: of the draw.
    """
    digest = hashlib.sha256(f"{phase} {k} {seed} {len(groups)}\n".encode())
    for part in (groups.astype("<i8").tobytes(), taken.astype("<i8").tobytes(), "\n".join(tokens).encode()):
        digest.update(part)
    path = Path(folder) / f"uni{k}-{phase}-{digest.hexdigest()[:16]}.npz"
    try:
        with np.load(path) as stored:
            drawn = stored["items"].astype(np.int64)
        if drawn.shape == (len(groups), k):
            return drawn
        logger.warning("%s is broken; drawing its negatives again", path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        logger.warning("%s is broken; drawing its negatives again", path)
    stream = int.from_bytes(phase.encode(), "little")
    drawn = draw_negatives(groups, taken, len(tokens), k, [seed, stream])
    _write(path, drawn)
    return drawn


def _write(path: Path, drawn: np.ndarray) -> None:
    partial = path.with_name(f"{path.stem}.{os.getpid()}.partial.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(partial, items=drawn.astype(np.int32))
        partial.replace(path)
    except OSError as error:
        logger.warning("the negatives could not be stored in %s (%s); the same seed draws them again", path, error)
