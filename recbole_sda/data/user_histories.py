"""All that users did, before any split, and how a model is asked about it: for recommending, not for measuring."""

from typing import NamedTuple

import numpy as np
import torch

from recbole_sda.config.run_config import RunConfig
from recbole_sda.model.registry import base_name
from recbole_sda.recbole_patches import compat

from recbole.data import create_dataset  # isort: skip  (after recbole_sda.config.run_config, which makes RecBole importable)
from recbole.data.interaction import Interaction  # isort: skip
from recbole.utils import ModelType  # isort: skip


class Histories(NamedTuple):
    """What each user has: internal item ids in time order.

    Attributes:
        items: all users' items, each user's together, (n_interactions,), int64.
        start: place of each user's first item, (n_users + 1,); row 0 is padding.
    """

    items: np.ndarray
    start: np.ndarray

    def of(self, user: int) -> np.ndarray:
        """Return the items of a user."""
        return self.items[self.start[user] : self.start[user + 1]]


def histories(config: RunConfig) -> Histories:
    """Return the histories of all users, with the internal ids that a run of this configuration has."""
    with compat.base_model_name(config, base_name(config["model"])), compat.ids_as_written():
        dataset = create_dataset(config)
    table = dataset.inter_feat
    users, items = (np.asarray(table[field]).astype(np.int64) for field in (dataset.uid_field, dataset.iid_field))
    times = np.asarray(table[dataset.time_field]) if dataset.time_field in table else np.zeros(len(table))
    order = np.lexsort((times, users))  # stable: equal times keep the order of the file
    counts = np.bincount(users, minlength=dataset.user_num)
    return Histories(items[order], np.concatenate([[0], counts.cumsum()]))


def inference_batch(config: RunConfig, users: np.ndarray, known: Histories) -> Interaction:
    """Return what a model's ``full_sort_predict`` takes for users (n,): their ids and, for sequential models, histories."""
    columns = {config["USER_ID_FIELD"]: torch.from_numpy(users)}
    if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        longest = config["MAX_ITEM_LIST_LENGTH"]
        lists = [known.of(user)[-longest:] for user in users]
        padded = torch.zeros(len(users), longest, dtype=torch.long)
        for row, items in enumerate(lists):
            padded[row, : len(items)] = torch.from_numpy(items)
        columns[config["ITEM_ID_FIELD"] + config["LIST_SUFFIX"]] = padded
        columns[config["ITEM_LIST_LENGTH_FIELD"]] = torch.tensor([len(items) for items in lists])
    return Interaction(columns)
