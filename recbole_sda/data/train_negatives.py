"""RecBole's sampler of negative training items without its loop over samples; it draws the same items."""

import copy
from typing import Any, Callable, Sequence, Union

import numpy as np
import torch
from recbole.sampler import Sampler
from recbole.utils import ModelType

from recbole_sda.errors import InputError
from recbole_sda.model.absent_items import absent_items, has_own_parts
from recbole_sda.model.known_items import training_pairs


class VectorSampler(Sampler):
    """RecBole's :class:`Sampler` of one phase, with one look-up for all drawn items.

    RecBole looks up each drawn item in a Python set of the user's items. Here the items of all users are one sorted array. The
    drawn items and the random stream are the same.

    Args:
        sampler: RecBole's sampler of one phase.
    """

    def __init__(self, sampler: Sampler):
        self.__dict__.update(copy.copy(sampler).__dict__)
        self._pairs = self._used_pairs()

    def _used_pairs(self) -> np.ndarray:
        """Return ``user * n_items + item`` of all pairs that must not be drawn, ascending."""
        sizes = [len(items) for items in self.used_ids]
        users = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
        items = np.fromiter((item for used in self.used_ids for item in used), dtype=np.int64, count=sum(sizes))
        return np.sort(users * self.item_num + items)

    def most_used(self) -> int:
        """Return the largest number of items that must not be drawn for a user."""
        return int(np.bincount(self._pairs // self.item_num, minlength=1).max())

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


class KnownItemsSampler(VectorSampler):
    """Negatives for sequential models that avoid every training item of the user, as RecBole's for general models do.

    RecBole's own sampler for sequential models avoids the sample's target alone.

    Args:
        sampler: RecBole's sampler of the training part.
        training: RecBole's training part.
    """

    def __init__(self, sampler: Any, training: Any):
        self._training = training
        super().__init__(sampler)

    def _used_pairs(self) -> np.ndarray:
        users, items = training_pairs(self._training)
        used = np.unique(users.astype(np.int64) * self.item_num + items)
        if np.bincount(used // self.item_num, minlength=1).max() >= self.item_num - 1:
            raise InputError(
                "train_mask_history=True: a user has all items in training, so that no negative is left to sample; leave out such "
                "users by user_inter_num_interval, or leave out the key"
            )
        return used

    def sample_by_user_ids(self, user_ids: Any, item_ids: Any, num: int) -> torch.Tensor:
        """Return ``num`` negatives for each user; see :meth:`sample_by_key_ids`."""
        return self.sample_by_key_ids(np.asarray(user_ids), num)


class WithoutItems:
    """The ``sampling`` of one of RecBole's samplers without some items.

    Args:
        sampling: returns n drawn items, (n,).
        left_out: which items are never returned, (n_items,), bool.
    """

    def __init__(self, sampling: Callable[[int], np.ndarray], left_out: np.ndarray):
        self.sampling, self.left_out = sampling, left_out

    def __call__(self, n: int) -> np.ndarray:
        drawn = np.asarray(self.sampling(n))
        wrong = np.flatnonzero(self.left_out[drawn])
        while len(wrong):
            drawn[wrong] = self.sampling(len(wrong))
            wrong = wrong[self.left_out[drawn[wrong]]]
        return drawn


def train_sampler(config: Any, sampler: Any, training: Any) -> Any:
    """Return the sampler of training negatives: RecBole's without its loop, or one that avoids known items.

    Args:
        config: configuration of the run: MODEL_TYPE, train_mask_history.
        sampler: RecBole's sampler of the training part; None where nothing is sampled.
        training: RecBole's training part.
    """
    if sampler is None:
        return None
    if config["train_mask_history"] and config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        sampler = KnownItemsSampler(sampler, training)
    elif type(sampler) is Sampler:
        sampler = VectorSampler(sampler)
    if has_own_parts(training):
        _leave_out_absent(sampler, training)
    return sampler


def _leave_out_absent(sampler: Any, training: Any) -> None:
    """Make a sampler draw the items of the training part alone, and by their popularity there."""
    left_out = np.zeros(sampler.item_num, dtype=bool)
    left_out[absent_items(training)] = True
    n_present = sampler.item_num - 1 - left_out.sum()
    if isinstance(sampler, VectorSampler) and sampler.most_used() >= n_present:
        raise InputError(
            f"a user has all {n_present} items of the training part, so that no negative is left to sample; leave out such users "
            "by user_inter_num_interval"
        )
    if sampler.distribution == "popularity":
        sampler.dataset, sampler.datasets = training, [training]
        sampler._build_alias_table()
    sampler.sampling = WithoutItems(sampler.sampling, left_out)


def leave_out_of_masks(loader: Any, training: Any) -> None:
    """Make RecBole's masking of sequences, of BERT4Rec, draw its negatives from the items of the training part alone."""
    draw, absent = getattr(loader.transform, "_neg_sample", None), set(absent_items(training).tolist())
    if draw is None or not absent:
        return

    def present(item_set: Sequence[int], n_items: int) -> int:
        item: int = draw(item_set, n_items)
        while item in absent:
            item = draw(item_set, n_items)
        return item

    loader.transform._neg_sample = present
