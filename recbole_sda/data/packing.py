"""Packed sequences: one row per user instead of one padded row per prefix.

RecBole trains a sequential model on every prefix of a user's sequence. A causal model's output at position j depends on
the items up to j alone, so one row with a target at each position stands for all of these samples. Histories longer than
the model's maximum L are cut into windows: the first holds the targets 1 to L, with RecBole's history each. Every later
window holds the next ``stride`` targets, its history ending at the last of them: the last target has L items of history
as in RecBole, the others between ``L - stride + 1`` and ``L``. With ``stride=1`` every target has RecBole's history.
"""

from typing import List, NamedTuple, Tuple

import numpy as np
import torch


class Windows(NamedTuple):
    """Rows of packed sequences over one flat array of items.

    Attributes:
        items: all users' items, one sequence after the other, (n_interactions,), int64.
        start: position in ``items`` of each window's first input, (n_windows,).
        length: number of inputs, at most L, (n_windows,).
        n_targets: the last so many positions have a target, which is the item after the input, (n_windows,).
        user: the user of each window, (n_windows,).
    """

    items: np.ndarray
    start: np.ndarray
    length: np.ndarray
    n_targets: np.ndarray
    user: np.ndarray

    def to(self, device) -> "Windows":
        """Return the same as tensors on a device."""
        return Windows(*(torch.as_tensor(part, device=device) for part in self))


def cut(items: np.ndarray, lengths: np.ndarray, users: np.ndarray, max_length: int, stride: int) -> Windows:
    """Cut sequences into windows such that every item but each sequence's first is a target exactly once.

    Args:
        items: all sequences, one after the other, (sum of lengths,), in time order.
        lengths: items of each sequence, (n_sequences,); a sequence of one item has no target and no window.
        users: the user of each sequence, (n_sequences,).
        max_length: L, the most inputs of a window.
        stride: targets of every window after a sequence's first, 1 to L.
    """
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    targets = lengths - 1
    n_windows = np.where(targets <= 0, 0, 1 + np.maximum(0, -(-(targets - max_length) // stride)))
    sequence = np.repeat(np.arange(len(lengths)), n_windows)
    number = np.arange(len(sequence)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    end = np.minimum(max_length + number * stride, targets[sequence])  # inputs before `end`, counted in the sequence
    length = np.minimum(end, max_length)
    before = np.where(number == 0, 0, max_length + (number - 1) * stride)
    return Windows(items, first[sequence] + end - length, length, end - before, users[sequence])


def batch_plan(
    length: np.ndarray, weight: np.ndarray, size: int, rng: np.random.Generator, shuffle: bool = True
) -> List[np.ndarray]:
    """Return batches of row numbers, about ``size`` in weight each, with rows of like length together.

    Rows are shuffled, cut into sections of 32 batches, sorted by length inside each section, and cut into batches,
    which are shuffled again. With weights of one every batch but the last holds exactly ``size`` rows.

    Args:
        length: of each row, (n_rows,).
        weight: of each row, its number of targets, (n_rows,).
        size: weight of a batch.
        rng: draws the order.
        shuffle: False keeps the rows' order inside a section but for the length.
    """
    order = rng.permutation(len(length)) if shuffle else np.arange(len(length))
    section = (np.cumsum(weight[order]) - 1) // (32 * size)
    order = order[np.lexsort((length[order], section))]
    weight = weight[order]
    batch = (np.cumsum(weight) - (weight + 1) // 2) // size
    batches = np.split(order, np.flatnonzero(np.diff(batch)) + 1)
    if shuffle:
        batches = [batches[k] for k in rng.permutation(len(batches))]
    return batches


def assemble(windows: Windows, chosen: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and targets (n_chosen, longest of them), int64; 0 where there is none.

    Args:
        windows: of tensors (see :meth:`Windows.to`); the work is done on their device.
        chosen: numbers of windows, (n_chosen,), int64.
    """
    start, length = windows.start[chosen, None], windows.length[chosen, None]
    position = torch.arange(int(length.max()), device=length.device)
    place = (start + position).clamp(max=len(windows.items) - 2)
    inside = position < length
    inputs = torch.where(inside, windows.items[place], 0)
    wanted = inside & (position >= length - windows.n_targets[chosen, None])
    return inputs, torch.where(wanted, windows.items[place + 1], 0)
