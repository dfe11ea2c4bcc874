"""Histories of users from all interactions, before any split, and model inputs made of them: not for evaluation."""

from typing import Dict, NamedTuple, Sequence

import numpy as np
import torch

from recbole_sda.config.run_config import RunConfig
from recbole_sda.model.model_table import ENSEMBLES
from recbole_sda.model.registry import base_name, class_name
from recbole_sda.recbole_patches.no_pickle import without_pickle
from recbole_sda.recbole_patches.scoped import base_model_name, ids_as_written

from recbole.data import create_dataset  # isort: skip  (after recbole_sda.config.run_config, which makes RecBole importable)
from recbole.data.interaction import Interaction  # isort: skip
from recbole.utils import ModelType  # isort: skip


class Histories(NamedTuple):
    """Items of each user: internal ids in time order.

    Attributes:
        items: items of all users, user by user, (n_interactions,), int64.
        start: position of each user's first item, (n_users + 1,); user 0 is padding.
    """

    items: np.ndarray
    start: np.ndarray

    def of(self, user: int) -> np.ndarray:
        """Return the items of a user."""
        return self.items[self.start[user] : self.start[user + 1]]


def histories(config: RunConfig) -> Histories:
    """Return the histories of all users, with the internal ids of a run of this configuration."""
    with base_model_name(config, class_name(base_name(config["model"]))), ids_as_written(), without_pickle():
        dataset = create_dataset(config)
    table = dataset.inter_feat
    users, items = (np.asarray(table[field]).astype(np.int64) for field in (dataset.uid_field, dataset.iid_field))
    times = np.asarray(table[dataset.time_field]) if dataset.time_field in table else np.zeros(len(table))
    order = np.lexsort((times, users))  # stable: equal times keep the order of the file
    counts = np.bincount(users, minlength=dataset.user_num)
    return Histories(items[order], np.concatenate([[0], counts.cumsum()]))


def inference_batch(config: RunConfig, users: np.ndarray, user_histories: Histories) -> Interaction:
    """Return the input of a model's ``full_sort_predict`` for users (n,): their ids and, for sequential models and ensembles,
    histories."""
    columns: Dict[str, torch.Tensor] = {config["USER_ID_FIELD"]: torch.from_numpy(users)}
    if config["MODEL_TYPE"] == ModelType.SEQUENTIAL or config["model"] in ENSEMBLES:
        columns.update(history_batch(config, [user_histories.of(user) for user in users]).interaction)
    return Interaction(columns)


def history_batch(config: RunConfig, lists: Sequence[np.ndarray]) -> Interaction:
    """Return the input of a sequential model's ``full_sort_predict`` for histories: internal item ids, oldest first, int64."""
    longest = config["MAX_ITEM_LIST_LENGTH"]
    padded = torch.zeros(len(lists), longest, dtype=torch.long)
    for row, items in enumerate(lists):
        padded[row, : len(items)] = torch.from_numpy(items[-longest:])
    length = torch.tensor([min(len(items), longest) for items in lists])
    return Interaction(
        {config["ITEM_ID_FIELD"] + config["LIST_SUFFIX"]: padded, config["ITEM_LIST_LENGTH_FIELD"]: length}
    )
