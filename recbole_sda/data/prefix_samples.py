"""RecBole's samples of sequential data, one per prefix of a sequence, with histories that are computed when they are read."""

from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Sequence, Union

import numpy as np
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource, FeatureType
from torch import Tensor

from recbole_sda.model.known_items import Ragged, history_field
from recbole_sda.recbole_patches.replace import replaced


class PrefixSamples(Interaction):
    """Samples of a sequential data set whose padded histories are computed when they are read.

    It stores the columns with one value per sample, and for each history its position in the interactions and its length. A
    selection of samples is a PrefixSamples too. Reading a history column, or all columns as a dict, computes the histories of
    the present samples, usually those of a batch, and stores them.

    Args:
        columns: name -> values of each sample, (n_samples, ...).
        source: all interactions, user by user and in time order.
        histories: name of each history column -> the column of ``source`` with its values.
        first: position in ``source`` of the first interaction of each sample's user, (n_samples,), int64.
        start: position in ``source`` of the first item of each sample's history, (n_samples,), int64.
        length: number of items of each history, (n_samples,), int64.
        longest: width to which histories are padded with zeros.
    """

    def __init__(
        self,
        columns: Dict[str, Tensor],
        source: Interaction,
        histories: Dict[str, str],
        first: Tensor,
        start: Tensor,
        length: Tensor,
        longest: int,
    ):
        self._columns, self._histories = columns, histories
        self._source, self._longest = source, longest
        self._first, self._start, self._length = first, start, length
        self.length = len(start)

    @property
    def source(self) -> Interaction:
        """All interactions, user by user and in time order."""
        return self._source

    @property
    def target_positions(self) -> np.ndarray:
        """Position in :attr:`source` of each sample's target, (n_samples,), int64."""
        return self._start.numpy() + self._length.numpy()

    def known_items(self, item_field: str) -> Ragged:
        """Return all items of each sample's user before the sample, also those before its history."""
        first = self._first.numpy()
        return Ragged(self._source[item_field].numpy(), first, self.target_positions - first)

    def _history_column(self, name: str) -> Tensor:
        position = torch.arange(self._longest)
        inside = position < self._length.unsqueeze(1)
        place = (self._start.unsqueeze(1) + position).clamp(max=len(self._source) - 1)
        values = self._source[self._histories[name]][place]
        values[~inside] = 0
        return values

    @property
    def interaction(self) -> Dict[str, Tensor]:
        """All columns, with the histories of all present samples."""
        for name in list(self._histories):
            self[name]
        return self._columns

    @interaction.setter
    def interaction(self, columns: Dict[str, Tensor]) -> None:
        self._columns, self._histories = columns, {}

    @property
    def columns(self) -> List[str]:
        """Names of all columns."""
        return [*self._columns, *self._histories]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns or name in self._histories

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            if index in self._histories:
                self.update(Interaction({index: self._history_column(index)}))
            return self._columns[index]
        if not isinstance(index, slice):
            index = torch.as_tensor(index)
            index = index if index.numel() else index.long()  # RecBole indexes an empty part by an empty list
        columns = {name: values[index] for name, values in self._columns.items()}
        first, start, length = self._first[index], self._start[index], self._length[index]
        if start.dim() == 0:  # a single sample has no dimension of samples in RecBole
            index = index.unsqueeze(0)
            one = self[index]
            return Interaction({name: values[0] for name, values in one.interaction.items()})
        return PrefixSamples(columns, self._source, self._histories, first, start, length, self._longest)

    def __setitem__(self, name: str, values: Tensor) -> None:
        self.update(Interaction({name: values}))

    def update(self, new_inter: Interaction) -> None:
        """Add or replace columns."""
        self._columns = {**self._columns, **new_inter.interaction}
        self._histories = {name: column for name, column in self._histories.items() if name not in self._columns}

    def _reindex(self, index: Tensor) -> None:
        chosen = self[index]
        self._columns, self._first = chosen._columns, chosen._first
        self._start, self._length = chosen._start, chosen._length

    def sort(self, by: Union[str, Sequence[str]], ascending: Union[bool, Sequence[bool]] = True) -> None:
        """Sort the samples in place by columns with one value each; see RecBole's Interaction."""
        by = [by] if isinstance(by, str) else by
        order = Interaction({**{name: self[name] for name in by}, "order": torch.arange(self.length)})
        order.sort(by, ascending)
        self._reindex(order["order"])


def augment(dataset: Any) -> None:
    """Replace a sequential data set's interactions by one sample per prefix, as RecBole's ``data_augmentation`` does."""
    dataset._aug_presets()
    dataset._check_field("uid_field", "time_field")
    dataset.sort(by=[dataset.uid_field, dataset.time_field], ascending=True)
    dataset.inter_feat = prefix_samples(dataset, dataset.inter_feat)


def prefix_samples(dataset: Any, feat: Interaction) -> PrefixSamples:
    """Return one sample per prefix of each user's sequence.

    Args:
        dataset: RecBole's sequential data set, for the names of fields and ``MAX_ITEM_LIST_LENGTH``.
        feat: interactions, user by user and in time order.
    """
    longest = dataset.config["MAX_ITEM_LIST_LENGTH"]
    user = feat[dataset.uid_field].numpy()
    is_first = np.diff(user, prepend=user[:1] - 1) != 0
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(user)), 0))
    target = np.flatnonzero(~is_first)
    start = np.maximum(first[target], target - longest)
    length = torch.from_numpy(target - start)
    columns = {**feat[target].interaction, dataset.item_list_length_field: length}
    histories = {getattr(dataset, f"{name}_list_field"): name for name in feat if name != dataset.uid_field}
    return PrefixSamples(
        columns, feat, histories, torch.from_numpy(first[target]), torch.from_numpy(start), length, longest
    )


def prepare_given_samples(dataset: Any) -> None:
    """Add the length of each history to samples that come from files (``benchmark_filename``), and cut the histories.

    RecBole's own method only works where ``ITEM_ID_FIELD`` is ``item_id``, and keeps histories that are longer than the models'
    positions. Here, each list beside a column of the same name keeps its last ``MAX_ITEM_LIST_LENGTH`` values.

    Args:
        dataset: RecBole's sequential data set, with its interactions as a table of pandas.
    """
    table, suffix, longest = dataset.inter_feat, dataset.config["LIST_SUFFIX"], dataset.config["MAX_ITEM_LIST_LENGTH"]
    histories = history_field(dataset)
    for field in [name for name in table if f"{name}{suffix}" in table]:
        column = f"{field}{suffix}"
        setattr(dataset, f"{field}_list_field", column)
        table[column] = [values[-longest:] for values in table[column]]
        dataset.field2seqlen[column] = min(longest, dataset.field2seqlen[column])
    length = dataset.item_list_length_field
    dataset.set_field_property(length, FeatureType.TOKEN, FeatureSource.INTERACTION, 1)
    table[length] = [len(values) for values in table[histories]]


@contextmanager
def fast_augmentation() -> Iterator[None]:
    """Context manager in which RecBole builds sequential data sets by :func:`augment` and :func:`prepare_given_samples`."""
    with (
        replaced(SequentialDataset, "data_augmentation", augment),
        replaced(SequentialDataset, "_benchmark_presets", prepare_given_samples),
    ):
        yield
