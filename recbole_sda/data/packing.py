"""Packed sequences: one row per user instead of one padded row per prefix.

RecBole trains a sequential model on every prefix of a user's sequence. A causal model's output at position j depends only on
the items up to j, so one row with a target at each position replaces all of these samples.

Sequences longer than the model's maximum length L are cut into windows. The first window contains the targets 1 to L, each with
the history that it has in RecBole. Every later window contains the next ``stride`` targets and ends at the last of them. That
target has L items of history, as in RecBole; the others have between ``L - stride + 1`` and L. With ``stride=1`` every target has
RecBole's history.
"""

from typing import Any, Generic, List, NamedTuple, Tuple, TypeVar

import numpy as np
import torch

Values = TypeVar("Values")  # np.ndarray or torch.Tensor


class Windows(NamedTuple, Generic[Values]):
    """Rows of packed sequences, as positions in one flat array of items; arrays of numpy or tensors.

    Attributes:
        items: all users' items, one sequence after the other, (n_interactions,), int64.
        start: position in ``items`` of each window's first input, (n_windows,).
        length: number of inputs, at most L, (n_windows,).
        n_targets: number of positions with a target, (n_windows,): the last ones. The target is the item after the input.
        user: the user of each window, (n_windows,).
    """

    items: Values
    start: Values
    length: Values
    n_targets: Values
    user: Values

    def to(self, device: Any) -> "Windows[torch.Tensor]":
        """Return the windows as tensors on a device."""
        return Windows(*(torch.as_tensor(part, device=device) for part in self))


def cut(items: np.ndarray, lengths: np.ndarray, users: np.ndarray, max_length: int, stride: int) -> Windows[np.ndarray]:
    """Cut sequences into windows. Every item except each sequence's first one is a target exactly once.

    Args:
        items: all sequences, one after the other, (sum of lengths,), in time order.
        lengths: number of items of each sequence, (n_sequences,); a sequence of one item has no target and no window.
        users: the user of each sequence, (n_sequences,).
        max_length: L, the largest number of inputs of a window.
        stride: number of targets of every window after a sequence's first, 1 to L.

    Example:
        >>> windows = cut(np.array([3, 1, 4, 2, 5]), np.array([5]), np.array([0]), max_length=2, stride=1)
        >>> inputs, targets = assemble(windows.to("cpu"), torch.arange(3))
        >>> inputs.tolist(), targets.tolist()
        ([[3, 1], [1, 4], [4, 2]], [[1, 4], [0, 2], [0, 5]])
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
    """Return batches of row numbers with a weight of about ``size`` each; the rows of a batch have similar lengths.

    Rows are shuffled, cut into sections of 32 batches, sorted by length inside each section, and cut into batches,
    which are shuffled again. With weights of one every batch except the last has exactly ``size`` rows.

    Args:
        length: length of each row, (n_rows,).
        weight: weight of each row, such as its number of targets, (n_rows,).
        size: weight of a batch.
        rng: generator that draws the order.
        shuffle: False keeps the order of rows of equal length inside a section.
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


def assemble(windows: Windows[torch.Tensor], chosen: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and targets, each (n_chosen, longest chosen window), int64; 0 in positions without one.

    Args:
        windows: windows as tensors (see :meth:`Windows.to`); everything is computed on their device.
        chosen: numbers of windows, (n_chosen,), int64.
    """
    start, length = windows.start[chosen, None], windows.length[chosen, None]
    position = torch.arange(int(length.max()), device=length.device)
    place = (start + position).clamp(max=len(windows.items) - 2)
    inside = position < length
    inputs = torch.where(inside, windows.items[place], 0)
    has_target = inside & (position >= length - windows.n_targets[chosen, None])
    return inputs, torch.where(has_target, windows.items[place + 1], 0)
