"""The items that users had before the samples of a sequential data set."""

from typing import Any, NamedTuple, Tuple

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

    def last(self, lists: np.ndarray, longest: int) -> Tuple[Tensor, Tensor]:
        """Return the last ``longest`` values of the chosen lists, (n, longest), then 0, and how many there are, (n,).

        Example:
            >>> ragged = Ragged.of(np.array([0, 0, 0, 2]), np.array([4, 5, 6, 7]), 3)
            >>> values, length = ragged.last(np.array([0, 1, 2]), 2)
            >>> values.tolist(), length.tolist()
            ([[5, 6], [0, 0], [7, 0]], [2, 0, 1])
        """
        length = np.minimum(self.length[lists], longest)
        first = self.start[lists] + self.length[lists] - length
        inside = np.arange(longest) < length[:, None]
        values = np.zeros(inside.shape, dtype=np.int64)
        values[inside] = self.values[(first[:, None] + np.arange(longest))[inside]]
        return torch.from_numpy(values), torch.from_numpy(length)

    def reorder(self, order: np.ndarray) -> "Ragged":
        """Return the lists in another order."""
        return Ragged(self.values, self.start[order], self.length[order])


def history_field(dataset: Any) -> str:
    """Return the column of a sequential data set that holds histories of items; its name follows ``ITEM_ID_FIELD``."""
    return f"{dataset.iid_field}{dataset.config['LIST_SUFFIX']}"


def known_items(dataset: Any, feat: Any) -> Ragged:
    """Return the items that the user of each sample had before it.

    These are all of them where the samples were made from interactions by
    :class:`~recbole_sda.data.prefix_samples.PrefixSamples`. Other samples, such as those of files (``benchmark_filename``), have no
    more than their padded history.

    Args:
        dataset: RecBole's sequential data set.
        feat: samples of it.
    """
    if hasattr(feat, "known_items"):
        known: Ragged = feat.known_items(dataset.iid_field)
        return known
    histories, length = feat[history_field(dataset)].numpy(), feat[dataset.item_list_length_field].numpy()
    return Ragged(histories.ravel(), np.arange(len(histories)) * histories.shape[1], length)


def training_histories(dataset: Any) -> Ragged:
    """Return the training items of each user in time order, of a general data set; without times, in the order of the data.

    Args:
        dataset: RecBole's training part. Its times are float32; items of equal times keep the order of the data.
    """
    table = dataset.inter_feat
    users, items = table[dataset.uid_field].numpy(), table[dataset.iid_field].numpy()
    times = table[dataset.time_field].numpy() if dataset.time_field in table else np.zeros(len(users))
    order = np.lexsort((times, users))  # stable
    return Ragged.of(users[order], items[order], dataset.user_num)


def training_pairs(dataset: Any) -> Tuple[np.ndarray, np.ndarray]:
    """Return users and items of all training interactions.

    RecBole's samples of a sequential data set have the first item of a user in histories only. Pairs can repeat.
    """
    samples = dataset.inter_feat
    users, targets = samples[dataset.uid_field].numpy(), samples[dataset.iid_field].numpy()
    if not hasattr(dataset, "item_list_length_field"):  # not sequential
        return users, targets
    rows, known = known_items(dataset, samples).take(np.arange(len(users)))
    return np.concatenate([users, users[rows.numpy()]]), np.concatenate([targets, known.numpy()])
