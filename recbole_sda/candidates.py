"""Sampled evaluation: negatives drawn once from a seed, for all users together."""

import numpy as np


def draw_negatives(positives: np.ndarray, n_items: int, k: int, seed: int) -> np.ndarray:
    """Draw ``k`` distinct items for each row, uniformly from all items but the row's positive.

    Args:
        positives: the item that each row must not draw, (n_rows,).
        n_items: number of items with the padding item 0, which is never drawn.
        k: items per row.
        seed: same seed and rows, same items.

    Returns:
        Item ids, (n_rows, k), int64, ascending in each row.

    Raises:
        ValueError: there are fewer than ``k`` items to draw from.
    """
    if k > n_items - 2:
        raise ValueError(
            f"{k} negatives are asked for, and there are {max(n_items - 2, 0)} items beside the positive one"
        )
    rng = np.random.default_rng(seed)
    if 4 * k > n_items:  # many of few: the first k of a shuffled catalogue
        keys = rng.random((len(positives), n_items))
        keys[:, 0] = keys[np.arange(len(positives)), positives] = 2.0
        return np.sort(np.argsort(keys, axis=1)[:, :k], axis=1)
    drawn = np.sort(rng.integers(1, n_items, (len(positives), k)), axis=1)
    while True:
        wrong = drawn == positives[:, None]
        wrong[:, 1:] |= drawn[:, 1:] == drawn[:, :-1]
        if not wrong.any():
            return drawn
        drawn[wrong] = rng.integers(1, n_items, int(wrong.sum()))
        drawn.sort(axis=1)
