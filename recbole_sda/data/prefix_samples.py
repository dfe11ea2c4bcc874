"""RecBole's prefixes of each user's sequence, each looked up when it is asked for: no copy of every one in memory."""

from contextlib import contextmanager
from typing import Dict, Iterator

import numpy as np
import torch
from torch import Tensor

from recbole_sda.recbole_patches import compat

compat.apply()

from recbole.data.dataset import SequentialDataset  # noqa: E402
from recbole.data.interaction import Interaction  # noqa: E402


class PrefixSamples(Interaction):
    """RecBole's samples of a sequential data set, of which the histories are made when they are asked for.

    Holds the columns with one value per sample; a history is a place in the source and a length. A selection of samples
    is of this kind again. Whatever needs a history column, or all columns as a dict, makes it once for the samples at
    hand: those of a batch, as a rule.

    Args:
        columns: name -> values of each sample, (n_samples, ...).
        source: all interactions, each user's together and in time order.
        histories: name of each history column -> the column of ``source`` that it is made of.
        start: place in ``source`` of the first item of each sample's history, (n_samples,), int64.
        length: items of each history, (n_samples,), int64.
        longest: width to which histories are padded with zeros.
    """

    def __init__(
        self,
        columns: Dict[str, Tensor],
        source: Interaction,
        histories: Dict[str, str],
        start: Tensor,
        length: Tensor,
        longest: int,
    ):
        self._columns, self._histories = columns, histories
        self._source, self._longest = source, longest
        self._start, self._length = start, length
        self.length = len(start)

    def _made(self, name: str) -> Tensor:
        position = torch.arange(self._longest)
        inside = position < self._length.unsqueeze(1)
        place = (self._start.unsqueeze(1) + position).clamp(max=len(self._source) - 1)
        values = self._source[self._histories[name]][place]
        values[~inside] = 0
        return values

    @property
    def interaction(self) -> Dict[str, Tensor]:
        """All columns; makes the histories of all samples at hand."""
        for name in list(self._histories):
            self[name]
        return self._columns

    @interaction.setter
    def interaction(self, columns: Dict[str, Tensor]) -> None:
        self._columns, self._histories = columns, {}

    @property
    def columns(self) -> list:
        return [*self._columns, *self._histories]

    def __iter__(self):
        return iter(self.columns)

    def __contains__(self, name) -> bool:
        return name in self._columns or name in self._histories

    def __getattr__(self, name):
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __getitem__(self, index):
        if isinstance(index, str):
            if index in self._histories:
                made = self._made(index)
                self._columns = {**self._columns, index: made}
                self._histories = {name: own for name, own in self._histories.items() if name != index}
            return self._columns[index]
        if not isinstance(index, slice):
            index = torch.as_tensor(index)
            index = index if index.numel() else index.long()  # of an empty part, RecBole gives an empty list
        columns = {name: values[index] for name, values in self._columns.items()}
        start, length = self._start[index], self._length[index]
        if start.dim() == 0:  # a single sample, without the dimension of samples, as RecBole gives it
            index = index.unsqueeze(0)
            one = self[index]
            return Interaction({name: values[0] for name, values in one.interaction.items()})
        return PrefixSamples(columns, self._source, self._histories, start, length, self._longest)

    def __setitem__(self, name, values):
        self.update(Interaction({name: values}))

    def update(self, new_inter):
        """Add or replace columns."""
        self._columns = {**self._columns, **new_inter.interaction}
        self._histories = {name: own for name, own in self._histories.items() if name not in self._columns}

    def _reindex(self, index):
        chosen = self[index]
        self._columns, self._start, self._length = chosen._columns, chosen._start, chosen._length

    def sort(self, by, ascending=True):
        """Sort the samples in place by columns with one value each; see RecBole's Interaction."""
        by = [by] if isinstance(by, str) else by
        order = Interaction({**{name: self[name] for name in by}, "order": torch.arange(self.length)})
        order.sort(by, ascending)
        self._reindex(order["order"])


def augment(dataset) -> None:
    """Do what RecBole's ``SequentialDataset.data_augmentation`` does: one sample per prefix, padded to the maximum."""
    dataset._aug_presets()
    dataset._check_field("uid_field", "time_field")
    longest = dataset.config["MAX_ITEM_LIST_LENGTH"]
    dataset.sort(by=[dataset.uid_field, dataset.time_field], ascending=True)
    feat = dataset.inter_feat
    user = feat[dataset.uid_field].numpy()
    is_first = np.diff(user, prepend=user[:1] - 1) != 0
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(user)), 0))
    target = np.flatnonzero(~is_first)
    start = np.maximum(first[target], target - longest)
    length = torch.from_numpy(target - start)
    columns = {**feat[target].interaction, dataset.item_list_length_field: length}
    histories = {getattr(dataset, f"{name}_list_field"): name for name in feat if name != dataset.uid_field}
    dataset.inter_feat = PrefixSamples(columns, feat, histories, torch.from_numpy(start), length, longest)


@contextmanager
def fast_augmentation() -> Iterator[None]:
    """Inside, RecBole's sequential data sets are built by :func:`augment`."""
    own = SequentialDataset.data_augmentation
    SequentialDataset.data_augmentation = augment
    try:
        yield
    finally:
        SequentialDataset.data_augmentation = own
