"""RecBole's prefixes of each user's sequence, gathered at once instead of in a Python loop per sample and field."""

from contextlib import contextmanager
from typing import Iterator

import numpy as np
import torch

from recbole_sda import compat

compat.apply()

from recbole.data.dataset import SequentialDataset  # noqa: E402
from recbole.data.interaction import Interaction  # noqa: E402


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
    length = target - start
    position = np.arange(longest)
    inside = torch.from_numpy(position < length[:, None])
    place = torch.from_numpy(np.minimum(start[:, None] + position, len(user) - 1))
    columns = {dataset.item_list_length_field: torch.from_numpy(length.astype(np.int64))}
    for field in feat:
        if field != dataset.uid_field:
            values = feat[field][place]
            values[~inside] = 0
            columns[getattr(dataset, f"{field}_list_field")] = values
    samples = feat[target]
    samples.update(Interaction(columns))
    dataset.inter_feat = samples


@contextmanager
def fast_augmentation() -> Iterator[None]:
    """Inside, RecBole's sequential data sets are built by :func:`augment`."""
    own = SequentialDataset.data_augmentation
    SequentialDataset.data_augmentation = augment
    try:
        yield
    finally:
        SequentialDataset.data_augmentation = own
