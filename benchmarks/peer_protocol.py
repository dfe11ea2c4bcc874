"""The data split and the judgement that ``peers.py`` applies to all libraries alike."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from recbole_sda.errors import InputError

TOPK = 10
HELD_OUT = {
    "valid": 2,
    "test": 1,
}  # place of the target from the end of the user's items; the items before it are known


class Split(NamedTuple):
    """Interactions ordered by user and time, with numbers for users and items.

    Attributes:
        users, items: ids as written in the file, by number.
        user, item: numbers of each interaction, (n,), int64.
        from_end: place of each interaction from the end of its user's items, from 1, (n,).
    """

    users: np.ndarray
    items: np.ndarray
    user: np.ndarray
    item: np.ndarray
    from_end: np.ndarray

    def known(self, phase: str):
        """Return the items of each user before the target."""
        from recbole_sda.model.known_items import Ragged

        kept = self.from_end > HELD_OUT[phase]
        return Ragged.of(self.user[kept], self.item[kept], len(self.users))

    def targets(self, phase: str) -> np.ndarray:
        """Return the target of each user, (n_users,)."""
        return self.item[self.from_end == HELD_OUT[phase]]


def read_split(path: Path) -> Split:
    """Read an interaction file; users with fewer than three interactions and repeated user-item pairs are refused."""
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)
    table.columns = [name.split(":")[0] for name in table.columns]
    user, users = pd.factorize(table["user_id"])
    item, items = pd.factorize(table["item_id"])
    order = np.lexsort((pd.to_numeric(table["timestamp"]), user))  # stable: equal times keep the order of the file
    user, item = user[order], item[order]
    counts = np.bincount(user)
    if counts.min() < 3:
        raise InputError(
            f"{path}: user {users[counts.argmin()]} has {counts.min()} interactions, at least 3 are needed"
        )
    repeated = len(user) - len(np.unique(user * len(items) + item))
    if repeated:
        raise InputError(f"{path}: {repeated} interactions repeat a user-item pair; known items are no candidates here")
    return Split(np.asarray(users), np.asarray(items), user, item, np.cumsum(counts)[user] - np.arange(len(user)))


def judge(split: Split, phase: str, items: np.ndarray, scores: np.ndarray) -> dict:
    """Return Hit@10 and NDCG@10 of one list per user.

    Args:
        split: the data.
        phase: valid or test.
        items: numbers of the ``TOPK + 1`` best items of each user, best first, (n_users, TOPK + 1); -1: none.
        scores: their scores. One item more than the cut-off shows whether a target shares its score with items behind the cut-off.
    """
    import torch

    from recbole_sda.metrics.ranks import Cases, case_metrics, ranks_of

    every_user = np.arange(len(split.users))
    rows, known = split.known(phase).take(every_user)
    pairs = (every_user[:, None] * len(split.items) + items)[items >= 0]
    if np.isin(pairs, rows.numpy() * len(split.items) + known.numpy()).any():
        raise AssertionError("a list holds items that the user has")
    row, place = np.nonzero(items == split.targets(phase)[:, None])
    rank = np.full(len(split.users), TOPK + 1)
    rank[row] = ranks_of(torch.from_numpy(scores), torch.from_numpy(row), torch.from_numpy(place)).numpy()
    metrics = case_metrics(Cases(every_user, every_user, split.targets(phase), rank), [TOPK])
    return {name: float(metrics[name].mean()) for name in (f"hit@{TOPK}", f"ndcg@{TOPK}")}
