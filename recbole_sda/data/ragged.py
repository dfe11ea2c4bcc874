"""Lists of different lengths in one flat array."""

from typing import NamedTuple, Tuple

import numpy as np
import torch
from torch import Tensor


class Ragged(NamedTuple):
    """Lists of item ids of different lengths, stored one after the other.

    Attributes:
        values: (total,), int64.
        start, length: first position and number of values of each list, (n_lists,).
    """

    values: np.ndarray
    start: np.ndarray
    length: np.ndarray

    @classmethod
    def of(cls, groups: np.ndarray, values: np.ndarray, n_groups: int) -> "Ragged":
        """Return a list per group.

        Args:
            groups: group of each value, (total,), ascending.
            values: (total,).
            n_groups: number of groups; one without values gets an empty list.
        """
        length = np.bincount(groups, minlength=n_groups)
        return cls(values, np.cumsum(length) - length, length)

    def take(self, lists: np.ndarray) -> Tuple[Tensor, Tensor]:
        """Return (position in ``lists``, value) of all values of the chosen lists."""
        length = self.length[lists]
        row = np.repeat(np.arange(len(lists)), length)
        inside = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
        return torch.from_numpy(row), torch.from_numpy(self.values[self.start[lists][row] + inside])

    def reorder(self, order: np.ndarray) -> "Ragged":
        """Return the lists in another order."""
        return Ragged(self.values, self.start[order], self.length[order])
