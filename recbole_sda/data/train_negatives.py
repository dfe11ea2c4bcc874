"""RecBole's sampler of negative training items without its loop over samples; it draws the same items."""

import copy
from typing import Any, Sequence, Union

import numpy as np
import torch
from recbole.sampler import Sampler


class VectorSampler(Sampler):
    """RecBole's :class:`Sampler` of one phase, with one look-up for all drawn items.

    RecBole looks up each drawn item in a Python set of the user's items. Here the items of all users are one sorted array. The
    drawn items and the random stream are the same.

    Args:
        sampler: RecBole's sampler of one phase.
    """

    def __init__(self, sampler: Sampler):
        self.__dict__.update(copy.copy(sampler).__dict__)
        sizes = [len(items) for items in self.used_ids]
        users = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
        items = np.fromiter((item for used in self.used_ids for item in used), dtype=np.int64, count=sum(sizes))
        self._pairs = np.sort(users * self.item_num + items)

    def _used(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return which pairs must not be drawn, (n,), bool."""
        pairs = users * self.item_num + items
        place = np.searchsorted(self._pairs, pairs)
        return self._pairs[np.minimum(place, len(self._pairs) - 1)] == pairs

    def sample_by_key_ids(self, key_ids: Union[np.ndarray, Sequence[int]], num: int) -> torch.Tensor:
        """Return ``num`` negative items for each user, (num * n_users,): one for every user, then the second ones, and so on."""
        users = np.tile(np.asarray(key_ids, dtype=np.int64), num)
        negatives = np.zeros(len(users), dtype=np.int64)
        open_places = np.arange(len(users))
        while len(open_places):
            negatives[open_places] = drawn = self.sampling(len(open_places))
            open_places = open_places[self._used(users[open_places], drawn)]
        return torch.from_numpy(negatives)


def vectorised(sampler: Any) -> Any:
    """Return a :class:`VectorSampler` for RecBole's sampler of general models; any other sampler unchanged."""
    return VectorSampler(sampler) if type(sampler) is Sampler else sampler
