"""Ranks of the right items, from which every ranking metric follows without a second pass over the scores."""

from typing import Dict, NamedTuple, Sequence

import numpy as np
import torch
from torch import Tensor


class Cases(NamedTuple):
    """Test cases: a user, an item that is right, and its rank among all candidates.

    Attributes:
        row: which list of the evaluation ranks the item, (n,), int64: one per user, or one per test sample of a sequential
            data set, where a user may have several.
        user, item: internal ids, (n,), int64.
        rank: from 1, (n,), int64; candidates of equal score count as ahead.
    """

    row: np.ndarray
    user: np.ndarray
    item: np.ndarray
    rank: np.ndarray

    @classmethod
    def join(cls, parts: Sequence["Cases"]) -> "Cases":
        """Return the cases of several batches."""
        if not parts:
            return cls(*(np.empty(0, dtype=np.int64) for _ in range(4)))
        return cls(*(np.concatenate(columns) for columns in zip(*parts)))


def ranks_of(scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Return the rank of each given item in its row of scores, from 1, (n,), int64.

    Args:
        scores: (n_rows, n_items); ``-inf`` for items that are no candidates.
        row, item: (n,).

    Note:
        Ties count against the item, so a model that scores all items alike gets the last rank, not the first; so do scores
        that are not numbers.
    """
    own, n_items = scores[row, item].unsqueeze(1), scores.shape[1]
    if len(row) == len(scores) and torch.equal(row, torch.arange(len(scores), device=row.device)):
        return n_items - (scores < own).sum(dim=1)
    # Rows are copied, a row for each of its items: no more at a time than there are scores.
    parts = zip(row.split(max(1, len(scores))), own.split(max(1, len(scores))))
    return torch.cat([n_items - (scores[rows] < of_rows).sum(dim=1) for rows, of_rows in parts])


def break_ties(row: Tensor, rank: Tensor) -> Tensor:
    """Return ranks from :func:`ranks_of`, right items of one list and score, which share the last of their places, in one each."""
    order = rank.argsort(stable=True)
    order = order[row[order].argsort(stable=True)]
    pairs = torch.stack([row, rank])[:, order]
    _, group, sizes = torch.unique_consecutive(pairs, dim=1, return_inverse=True, return_counts=True)
    behind = sizes.cumsum(0)[group] - torch.arange(1, len(row) + 1, device=row.device)
    found = torch.empty_like(rank)
    found[order] = pairs[1] - behind
    return found


def per_case(cases: Cases, topk: Sequence[int]) -> Dict[str, np.ndarray]:
    """Return Hit, NDCG and MRR at each k of every case as if it were its user's only one, name -> (n,)."""
    found = {}
    for k in topk:
        inside = cases.rank <= k
        found[f"hit@{k}"] = inside.astype(float)
        found[f"ndcg@{k}"] = np.where(inside, 1 / np.log2(cases.rank + 1.0), 0.0)
        found[f"mrr@{k}"] = np.where(inside, 1 / cases.rank, 0.0)
    return found


def per_row(cases: Cases, topk: Sequence[int]) -> Dict[str, np.ndarray]:
    """Return Hit, Recall, NDCG and MRR at each k of every list, name -> (n_rows,), in the order of the rows.

    As RecBole defines them: NDCG is divided by that of the best list for the row's number of right items, MRR is of the first
    hit.
    """
    rows, group = np.unique(cases.row, return_inverse=True)
    n_right = np.bincount(group, minlength=len(rows))
    best = np.full(len(rows), np.iinfo(np.int64).max)
    np.minimum.at(best, group, cases.rank)
    ideal = np.cumsum(1 / np.log2(np.arange(2, max(topk, default=1) + 2)))
    found = {}
    for k in topk:
        inside = cases.rank <= k
        gains = np.bincount(group, np.where(inside, 1 / np.log2(cases.rank + 1.0), 0.0), len(rows))
        found[f"hit@{k}"] = (best <= k).astype(float)
        found[f"recall@{k}"] = np.bincount(group, inside, len(rows)) / n_right
        found[f"ndcg@{k}"] = gains / ideal[np.minimum(n_right, k) - 1]
        found[f"mrr@{k}"] = np.where(best <= k, 1 / best, 0.0)
    return found


def users_of(cases: Cases) -> np.ndarray:
    """Return the user of each row, in the order of :func:`per_row`."""
    return cases.user[np.unique(cases.row, return_index=True)[1]]


def means(values: Dict[str, np.ndarray], chosen: np.ndarray) -> Dict[str, float]:
    """Return the mean of each metric over some cases or users; ``cases`` says how many."""
    found: Dict[str, float] = {"cases": int(chosen.sum())}
    if found["cases"]:
        found |= {name: float(column[chosen].mean()) for name, column in values.items()}
    return found
