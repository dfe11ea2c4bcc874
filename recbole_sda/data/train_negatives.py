"""RecBole's sampler of negative items for training, with the same draws and without its loop over samples."""

import copy

import numpy as np
import torch

from recbole_sda.recbole_patches import compat

compat.apply()

from recbole.sampler import Sampler  # noqa: E402


class VectorSampler(Sampler):
    """RecBole's :class:`Sampler` of one phase, which looks up all drawn items at once.

    RecBole asks a Python set for each drawn item whether the user has it. Here the users' items are one sorted array. What
    is drawn, and from which random stream, is the same.

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
        """Return whether each pair is one that must not be drawn, (n,), bool."""
        pairs = users * self.item_num + items
        place = np.searchsorted(self._pairs, pairs)
        return self._pairs[np.minimum(place, len(self._pairs) - 1)] == pairs

    def sample_by_key_ids(self, key_ids, num):
        users = np.tile(np.asarray(key_ids, dtype=np.int64), num)
        found = np.zeros(len(users), dtype=np.int64)
        open_places = np.arange(len(users))
        while len(open_places):
            found[open_places] = drawn = self.sampling(len(open_places))
            open_places = open_places[self._used(users[open_places], drawn)]
        return torch.from_numpy(found)


def vectorised(sampler):
    """Return a :class:`VectorSampler` in place of RecBole's sampler of general models; anything else as it is."""
    return VectorSampler(sampler) if type(sampler) is Sampler else sampler
