"""Batches of inputs of similar length, within a token budget or in groups, and removal of repeated inputs."""

from typing import Dict, Hashable, List, NamedTuple, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

Integers = Union[Sequence[int], np.ndarray]  # positions of inputs, or their lengths


class Distinct(NamedTuple):
    """Inputs without repetitions.

    Attributes:
        first: position of the first occurrence of each distinct input, (n_distinct,).
        row: number of the distinct input at each position, (n,).
    """

    first: List[int]
    row: np.ndarray


def distinct(inputs: Sequence[Hashable]) -> Distinct:
    """Return each distinct input once, in order of first appearance."""
    number: Dict[Hashable, int] = {}
    first: List[int] = []
    row = np.empty(len(inputs), dtype=np.int64)
    for position, value in enumerate(inputs):
        if value not in number:
            number[value] = len(first)
            first.append(position)
        row[position] = number[value]
    return Distinct(first, row)


def token_batches(lengths: Integers, budget: int) -> List[np.ndarray]:
    """Return batches of positions whose padded size (batch size times longest length) is at most ``budget`` tokens.

    An input longer than the budget forms a batch of its own. The longest inputs come first, so an out-of-memory error
    occurs in the first batches or never.
    """
    sizes = np.asarray(lengths)
    order = np.argsort(-sizes, kind="stable")
    batches, start = [], 0
    while start < len(order):
        batch_size = max(1, budget // max(int(sizes[order[start]]), 1))
        batches.append(order[start : start + batch_size])
        start += batch_size
    return batches


def length_groups(batch: Dict[str, Tensor], n: int) -> List[Tuple[Tensor, Dict[str, Tensor]]]:
    """Divide a batch of texts into groups of similar length without the columns that are padding in the whole group.

    Args:
        batch: the model's inputs, with ``attention_mask``, (batch, length), 0 where a token is padding.
        n: number of groups, at most one per text. A batch without a mask or with an input of another shape stays whole.

    Returns:
        Per group, longest first, its rows in the batch and its inputs.
    """
    mask = batch.get("attention_mask")
    if n == 1 or mask is None or any(value.shape != mask.shape for value in batch.values()):
        return [(torch.arange(len(next(iter(batch.values())))), batch)]
    groups = []
    for rows in mask.sum(dim=1).argsort(descending=True, stable=True).tensor_split(min(n, len(mask))):
        columns = mask[rows].any(dim=0)
        groups.append((rows, {name: value[rows][:, columns] for name, value in batch.items()}))
    return groups


def padding_share(lengths: Integers, batches: Sequence[np.ndarray]) -> float:
    """Return the share of padding tokens among all tokens of the batches, in [0, 1)."""
    sizes = np.asarray(lengths)
    padded = sum(len(batch) * int(sizes[batch].max()) for batch in batches)
    return 1 - float(sizes.sum()) / padded if padded else 0.0
