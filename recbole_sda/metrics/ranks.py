"""Ranks of the positive items. All ranking metrics follow from them without a second pass over the scores."""

from typing import Dict, NamedTuple, Sequence

import numpy as np
import torch
from torch import Tensor


class Cases(NamedTuple):
    """Test cases: a user, a positive item, and its rank among all candidates.

    Attributes:
        row: number of the ranked list that contains the item, (n,), int64. There is one list per user, or one per test sample of
            a sequential data set, where a user may have several.
        user, item: internal ids, (n,), int64.
        rank: from 1, (n,), int64. Candidates of equal score are ranked before the item.
    """

    row: np.ndarray
    user: np.ndarray
    item: np.ndarray
    rank: np.ndarray

    @classmethod
    def join(cls, parts: Sequence["Cases"]) -> "Cases":
        """Return the concatenated cases of several batches."""
        if not parts:
            return cls(*(np.empty(0, dtype=np.int64) for _ in range(4)))
        return cls(*(np.concatenate(columns) for columns in zip(*parts)))


def ranks_of(scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Return the rank of each given item in its row of scores, from 1, (n,), int64.

    Args:
        scores: (n_rows, n_items); ``-inf`` for items that are not candidates.
        row, item: (n,).

    Note:
        Items of equal score, and items whose score is NaN, are ranked before the item. A model that gives all items the same score
        therefore gets the last rank.
    """
    item_scores, n_items = scores[row, item].unsqueeze(1), scores.shape[1]
    if len(row) == len(scores) and torch.equal(row, torch.arange(len(scores), device=row.device)):
        return n_items - _count_true(scores < item_scores)
    # `scores[rows]` copies one row per item; blocks of n_rows items keep the copy no larger than the scores.
    blocks = zip(row.split(max(1, len(scores))), item_scores.split(max(1, len(scores))))
    return torch.cat([n_items - _count_true(scores[rows] < block) for rows, block in blocks])


def _count_true(mask: Tensor) -> Tensor:
    """Return the number of true values of each row. On the CPU, NumPy counts bytes ten times as fast as torch adds them up."""
    if mask.device.type != "cpu":
        return mask.sum(dim=1)
    return torch.tensor([np.count_nonzero(row) for row in mask.numpy()], dtype=torch.int64)


def break_ties(row: Tensor, rank: Tensor) -> Tensor:
    """Break ties: give positive items of equal score in one list consecutive ranks.

    Args:
        row: number of the list, (n,).
        rank: ranks from :func:`ranks_of`, (n,); m positive items of equal score share the last of their m ranks.

    Returns:
        Ranks that are distinct within each list, (n,); the order of tied items is that of the input.
    """
    order = rank.argsort(stable=True)
    order = order[row[order].argsort(stable=True)]
    pairs = torch.stack([row, rank])[:, order]
    _, group, sizes = torch.unique_consecutive(pairs, dim=1, return_inverse=True, return_counts=True)
    behind = sizes.cumsum(0)[group] - torch.arange(1, len(row) + 1, device=row.device)
    distinct = torch.empty_like(rank)
    distinct[order] = pairs[1] - behind
    return distinct


def case_metrics(cases: Cases, topk: Sequence[int]) -> Dict[str, np.ndarray]:
    """Return Hit, NDCG and MRR at each k of every case, as if its item were the only positive, name -> (n_cases,)."""
    values = {}
    for k in topk:
        inside = cases.rank <= k
        values[f"hit@{k}"] = inside.astype(float)
        values[f"ndcg@{k}"] = np.where(inside, 1 / np.log2(cases.rank + 1.0), 0.0)
        values[f"mrr@{k}"] = np.where(inside, 1 / cases.rank, 0.0)
    return values


def list_metrics(cases: Cases, topk: Sequence[int]) -> Dict[str, np.ndarray]:
    """Return Hit, Recall, NDCG and MRR at each k of every ranked list, name -> (n_lists,), in ascending order of ``cases.row``.

    The definitions are RecBole's: NDCG is divided by the DCG of the best possible list for the list's number of positive items, MRR
    is the reciprocal rank of the first positive item.
    """
    rows, list_of_case = np.unique(cases.row, return_inverse=True)
    n_positives = np.bincount(list_of_case, minlength=len(rows))
    best = np.full(len(rows), np.iinfo(np.int64).max)
    np.minimum.at(best, list_of_case, cases.rank)
    ideal = np.cumsum(1 / np.log2(np.arange(2, max(topk, default=1) + 2)))
    values = {}
    for k in topk:
        inside = cases.rank <= k
        dcg = np.bincount(list_of_case, np.where(inside, 1 / np.log2(cases.rank + 1.0), 0.0), len(rows))
        values[f"hit@{k}"] = (best <= k).astype(float)
        values[f"recall@{k}"] = np.bincount(list_of_case, inside, len(rows)) / n_positives
        values[f"ndcg@{k}"] = dcg / ideal[np.minimum(n_positives, k) - 1]
        values[f"mrr@{k}"] = np.where(best <= k, 1 / best, 0.0)
    return values


def list_users(cases: Cases) -> np.ndarray:
    """Return the user of each ranked list, (n_lists,), in the order of :func:`list_metrics`."""
    return cases.user[np.unique(cases.row, return_index=True)[1]]


def mean_metrics(values: Dict[str, np.ndarray], chosen: np.ndarray) -> Dict[str, float]:
    """Return the mean of each metric over the chosen cases or lists, and their number as ``cases``.

    Args:
        values: metrics by name, each (n,).
        chosen: (n,), bool. If none is chosen, the result has ``cases`` only.
    """
    result: Dict[str, float] = {"cases": int(chosen.sum())}
    if result["cases"]:
        result |= {name: float(column[chosen].mean()) for name, column in values.items()}
    return result
