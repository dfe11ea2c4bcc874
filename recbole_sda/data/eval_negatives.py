"""Sampled evaluation: negatives that are drawn from a seed for all cases at once, and stored in a file."""

import hashlib
import logging
from pathlib import Path
from typing import NamedTuple, Optional, Sequence, Union

import numpy as np

from recbole_sda.io.atomic_write import atomic_write

logger = logging.getLogger(__name__)

BLOCK = 2**22  # random keys that are in memory at once


class Sampling(NamedTuple):
    """What is drawn in an evaluation phase.

    Attributes:
        mode: RecBole's name of it: ``uni`` or ``pop``, and the number of negatives of a case.
        phase: ``valid`` or ``test``; each has its own random stream.
        popularity: of ``popN``: training interactions of each item, (n_items,), int64; None for ``uniN``.
    """

    mode: str
    phase: str
    popularity: Optional[np.ndarray] = None

    @property
    def k(self) -> int:
        """Number of negatives of a case."""
        return int(self.mode[3:])


def draw_negatives(
    groups: np.ndarray,
    taken: np.ndarray,
    n_items: int,
    k: int,
    seed: Union[int, Sequence[int]],
    popularity: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Draw ``k`` distinct items for each row, one after the other, from the items that its group has not taken.

    Args:
        groups: group of each row, such as its user, (n_rows,), int64.
        taken: ``group * n_items + item`` of what must not be drawn, ascending and distinct, int64.
        n_items: number of items, including the padding item 0, which is never drawn.
        k: number of items per row.
        seed: seed of numpy's generator. The same seed and rows give the same items.
        popularity: each draw takes an item in proportion to this count, (n_items,), int64, 0 for padding; None: uniformly.

    Returns:
        Item ids, (n_rows, k), int64, ascending in each row.

    Raises:
        ValueError: a row has fewer than ``k`` items to draw from.

    Example:
        >>> draw_negatives(np.array([0, 1]), taken=np.array([2, 6]), n_items=4, k=2, seed=0)  # 0 has item 2, 1 has item 2
        array([[1, 3],
               [1, 3]])
    """
    counts = np.ones(n_items, dtype=np.int64) if popularity is None else popularity.copy()
    counts[0] = 0
    pool = np.repeat(np.arange(n_items), counts)  # a random element of it is one draw
    bounds = np.searchsorted(taken, [groups * n_items, (groups + 1) * n_items])
    taken_counts = counts[taken % n_items]
    n_taken, taken_share = (np.diff(_sums(values)[bounds], axis=0)[0] for values in (taken_counts > 0, taken_counts))
    free = np.count_nonzero(counts) - n_taken
    if len(free) and k > free.min():
        raise ValueError(f"{k} negatives are required, but a case has only {max(free.min(), 0)} items to draw from")
    rng = np.random.default_rng(seed)
    drawn = np.empty((len(groups), k), dtype=np.int64)
    least = (
        0.5 if popularity is None else min(0.5, 8 * k / n_items)
    )  # share of accepted draws from which rejection is faster
    crowded = np.sort(counts)[-k:].sum() + taken_share > (1 - least) * (1 + len(pool))
    rows = np.flatnonzero(crowded)
    for chosen in np.array_split(rows, max(1, -(-len(rows) * n_items // BLOCK))):
        drawn[chosen] = _from_shuffled(groups[chosen], taken, counts, k, rng)
    rows = np.flatnonzero(~crowded)
    drawn[rows] = _by_rejection(groups[rows], taken, n_items, pool, k, rng)
    return drawn


def _sums(values: np.ndarray) -> np.ndarray:
    """Return the sums of the first 0, 1, ... values, (n + 1,)."""
    return np.concatenate([[0], np.cumsum(values)])


def _from_shuffled(
    groups: np.ndarray, taken: np.ndarray, counts: np.ndarray, k: int, rng: np.random.Generator
) -> np.ndarray:
    """Return k items of each row from an order of all items.

    Exponential times with the counts as rates: the first is each item in proportion to its count, and so is each next one among
    those that are left.
    """
    n_items = len(counts)
    times = -np.log1p(-rng.random((len(groups), n_items))) / np.maximum(counts, 1)
    times[:, counts == 0] = np.inf
    times[_is_in(groups[:, None] * n_items + np.arange(n_items), taken)] = np.inf
    return np.sort(np.argpartition(times, k - 1, axis=1)[:, :k], axis=1)


def _by_rejection(
    groups: np.ndarray, taken: np.ndarray, n_items: int, pool: np.ndarray, k: int, rng: np.random.Generator
) -> np.ndarray:
    """Return k items of each row from elements of ``pool``; what is taken or was drawn before is drawn anew."""
    drawn = np.sort(pool[rng.integers(0, len(pool), (len(groups), k))], axis=1)
    left = np.arange(len(groups))
    while len(left):
        part = drawn[left]
        wrong = _is_in(groups[left, None] * n_items + part, taken)
        wrong[:, 1:] |= part[:, 1:] == part[:, :-1]
        part[wrong] = pool[rng.integers(0, len(pool), int(wrong.sum()))]
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
    sampling: Sampling,
    groups: np.ndarray,
    taken: np.ndarray,
    tokens: Sequence[str],
    seed: int,
) -> np.ndarray:
    """Return the negatives of an evaluation phase: those stored in ``folder``, or newly drawn ones, which are then stored.

    The file's name contains a hash of everything that the draw depends on, so that another split or set of items has its own
    file. The negatives of a damaged file are drawn again.

    Args:
        folder: folder of the files.
        sampling: what is drawn.
        groups, taken: see :func:`draw_negatives`.
        tokens: external token of each item id, (n_items,).
        seed: seed of the draw.

    Raises:
        ValueError: see :func:`draw_negatives`.
    """
    mode, phase, popularity = sampling
    digest = hashlib.sha256(f"{phase} {sampling.k} {seed} {len(groups)}\n".encode())
    for part in (groups, taken, popularity):
        digest.update(b"" if part is None else part.astype("<i8").tobytes())
    digest.update("\n".join(tokens).encode())
    path = Path(folder) / f"{mode}-{phase}-{digest.hexdigest()[:16]}.npz"
    try:
        if path.exists() and not path.is_file():
            raise OSError("no regular file")
        with np.load(path) as stored:
            drawn = stored["items"].astype(np.int64)
        if drawn.shape == (len(groups), sampling.k) and ((drawn > 0) & (drawn < len(tokens))).all():
            return drawn
        logger.warning("%s is damaged; its negatives are drawn again", path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Exception:  # numpy, zipfile and zlib raise errors of any kind for damaged archives
        logger.warning("%s is damaged; its negatives are drawn again", path)
    stream = int.from_bytes(phase.encode(), "little")
    drawn = draw_negatives(groups, taken, len(tokens), sampling.k, [seed, stream], popularity)
    _write(path, drawn)
    return drawn


def _write(path: Path, drawn: np.ndarray) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as draft, open(draft, "wb") as file:
            np.savez_compressed(file, items=drawn.astype(np.int32))
    except OSError as error:
        logger.warning("the negatives cannot be stored in %s (%s); the next run draws the same ones again", path, error)
