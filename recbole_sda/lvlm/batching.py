"""Batches of like length within a budget of tokens, each distinct input once."""

from typing import Dict, Hashable, List, NamedTuple, Sequence

import numpy as np


class Distinct(NamedTuple):
    """Inputs without repetitions.

    Attributes:
        first: position of the first occurrence of each distinct input, (n_distinct,).
        row: number of the distinct input of each position, (n,).
    """

    first: List[int]
    row: np.ndarray


def distinct(inputs: Sequence[Hashable]) -> Distinct:
    """Return each distinct input once, in the order of appearance."""
    number: Dict[Hashable, int] = {}
    first, row = [], np.empty(len(inputs), dtype=np.int64)
    for position, value in enumerate(inputs):
        if value not in number:
            number[value] = len(first)
            first.append(position)
        row[position] = number[value]
    return Distinct(first, row)


def token_batches(lengths: Sequence[int], budget: int) -> List[np.ndarray]:
    """Return batches of positions, longest first, whose padded size (rows times longest) stays within ``budget``.

    A single input above the budget is a batch of its own. The longest come first, so that memory runs out at once or
    not at all.
    """
    lengths = np.asarray(lengths)
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        rows = max(1, budget // max(int(lengths[order[start]]), 1))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def padding_share(lengths: Sequence[int], batches: Sequence[np.ndarray]) -> float:
    """Return the share of padding among all positions of the batches, in [0, 1)."""
    lengths = np.asarray(lengths)
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    return 1 - float(lengths.sum()) / padded if padded else 0.0
