"""Sampled evaluation: negatives that are drawn from a seed for all cases at once, and stored in a file."""

import hashlib
import logging
from pathlib import Path
from typing import Sequence, Union

import numpy as np

from recbole_sda.io.atomic_write import atomic_write

logger = logging.getLogger(__name__)

BLOCK = 2**22  # random keys that are in memory at once


def draw_negatives(
    groups: np.ndarray, taken: np.ndarray, n_items: int, k: int, seed: Union[int, Sequence[int]]
) -> np.ndarray:
    """Draw ``k`` distinct items for each row, uniformly from the items that its group has not taken.

    Args:
        groups: group of each row, such as its user, (n_rows,), int64.
        taken: ``group * n_items + item`` of what must not be drawn, ascending and distinct, int64.
        n_items: number of items, including the padding item 0, which is never drawn.
        k: number of items per row.
        seed: seed of numpy's generator. The same seed and rows give the same items.

    Returns:
        Item ids, (n_rows, k), int64, ascending in each row.

    Raises:
        ValueError: a row has fewer than ``k`` items to draw from.

    Example:
        >>> draw_negatives(np.array([0, 1]), taken=np.array([2, 6]), n_items=4, k=2, seed=0)  # 0 has item 2, 1 has item 2
        array([[1, 3],
               [1, 3]])
    """
    bounds = groups * n_items
    n_taken = np.searchsorted(taken, bounds + n_items) - np.searchsorted(taken, bounds)
    free = n_items - 1 - n_taken
    if len(free) and k > free.min():
        raise ValueError(f"{k} negatives are required, but a case has only {max(free.min(), 0)} items to draw from")
    rng = np.random.default_rng(seed)
    drawn = np.empty((len(groups), k), dtype=np.int64)
    crowded = 2 * (k + n_taken) > n_items
    rows = np.flatnonzero(crowded)
    for chosen in np.array_split(rows, max(1, -(-len(rows) * n_items // BLOCK))):
        drawn[chosen] = _from_shuffled(groups[chosen], taken, n_items, k, rng)
    rows = np.flatnonzero(~crowded)
    drawn[rows] = _by_rejection(groups[rows], taken, n_items, k, rng)
    return drawn


def _from_shuffled(groups: np.ndarray, taken: np.ndarray, n_items: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return the first k of all items in random order, for rows where rejection would reject most draws."""
    order = rng.random((len(groups), n_items))
    order[_is_in(groups[:, None] * n_items + np.arange(n_items), taken)] = 2.0
    order[:, 0] = 2.0
    return np.sort(np.argsort(order, axis=1)[:, :k], axis=1)


def _by_rejection(groups: np.ndarray, taken: np.ndarray, n_items: int, k: int, rng: np.random.Generator) -> np.ndarray:
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
    folder: Union[str, Path],
    phase: str,
    groups: np.ndarray,
    taken: np.ndarray,
    tokens: Sequence[str],
    k: int,
    seed: int,
) -> np.ndarray:
    """Return the negatives of an evaluation phase: those stored in ``folder``, or newly drawn ones, which are then stored.

    The file's name contains a hash of everything that the draw depends on, so that another split or set of items has its own
    file. The negatives of a damaged file are drawn again.

    Args:
        folder: folder of the files.
        phase: name of the evaluation phase; each has its own random stream.
        groups, taken, k: see :func:`draw_negatives`.
        tokens: external token of each item id, (n_items,).
        seed: seed of the draw.

    Raises:
        ValueError: see :func:`draw_negatives`.
    """
    digest = hashlib.sha256(f"{phase} {k} {seed} {len(groups)}\n".encode())
    for part in (groups.astype("<i8").tobytes(), taken.astype("<i8").tobytes(), "\n".join(tokens).encode()):
        digest.update(part)
    path = Path(folder) / f"uni{k}-{phase}-{digest.hexdigest()[:16]}.npz"
    try:
        if path.exists() and not path.is_file():
            raise OSError("no regular file")
        with np.load(path) as stored:
            drawn = stored["items"].astype(np.int64)
        if drawn.shape == (len(groups), k) and ((drawn > 0) & (drawn < len(tokens))).all():
            return drawn
        logger.warning("%s is damaged; its negatives are drawn again", path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Exception:  # numpy, zipfile and zlib raise errors of any kind for damaged archives
        logger.warning("%s is damaged; its negatives are drawn again", path)
    stream = int.from_bytes(phase.encode(), "little")
    drawn = draw_negatives(groups, taken, len(tokens), k, [seed, stream])
    _write(path, drawn)
    return drawn


def _write(path: Path, drawn: np.ndarray) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as draft, open(draft, "wb") as file:
            np.savez_compressed(file, items=drawn.astype(np.int32))
    except OSError as error:
        logger.warning("the negatives cannot be stored in %s (%s); the next run draws the same ones again", path, error)
