"""The weights of an ensemble, chosen on validation data.

The metric itself is maximised, by coordinate search: it has no useful gradient, the weights are few, and a sum of stored scores
is cheap. The search starts at the best single member, so that an ensemble is never below it on validation data.
"""

import math
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from recbole_sda.model.ensemble.member import in_cache, standardise_
from recbole_sda.model.ensemble.model import Ensemble

MAX_SCORES = 2**26  # stored at once, 256 MB of float32; with more cases, every n-th case takes part
FACTORS = (0.5, 0.7, 0.85, 1.2, 1.4, 2.0)  # tried on a positive weight, besides 0
FIRST = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # tried on a weight of 0
MAX_ROUNDS = 10
Metric = Callable[..., float]  # of ranks and their lists, see metric_of_ranks


class Pool(NamedTuple):
    """Standardised scores of validation cases: of the target and of the items that can come before it.

    Attributes:
        target: (n_cases, n_members).
        others: (n_cases, n_others, n_members); minus infinity where there is no further item.
        target_group: (n_cases,), of the items' groups.
        other_group: (n_cases, n_others).
        lists: number of each case's ranked list, (n_cases,), from 0; None where each case has a list of its own.
    """

    target: Tensor
    others: Tensor
    target_group: Tensor
    other_group: Tensor
    lists: Optional[Tensor] = None

    def ranks(self, weights: Tensor) -> Tensor:
        """Return the rank of each target among the pool's items, (n_cases,); equal items come before it, as in the metrics.

        Args:
            weights: (n_groups, n_members).
        """
        target = (self.target * weights[self.target_group]).sum(dim=1, keepdim=True)
        if len(weights) == 1:
            others = self.others @ weights[0]
        else:
            others = torch.stack([self.others @ row for row in weights], dim=2)
            others = others.gather(2, self.other_group.unsqueeze(2)).squeeze(2)
        others = others.nan_to_num(nan=-torch.inf)  # minus infinity, times 0
        return 1 + (others >= target).sum(dim=1)


@torch.no_grad()
def collect_pool(model: Ensemble, loader: Any, depth: int, device: Any) -> Pool:
    """Return the pool of a validation loader: for each case, the best items of each member among the candidates.

    An item that comes before the target in a weighted sum is nearly always among the best of a member.

    Args:
        model: the ensemble.
        loader: one of :mod:`recbole_sda.data.eval_loaders`.
        depth: items of each member.
        device: of the members.
    """
    n_members, n_items = len(model.members), model.n_items
    depth = min(depth, n_items - 1)
    cases = len(loader.dataset.inter_feat)
    step = max(1, math.ceil(cases * depth * n_members**2 / MAX_SCORES))  # every step-th list takes part
    parts: List[Tuple[Tensor, ...]] = []
    seen = 0
    for interaction, history, rows, items, candidates in loader:
        lists = rows + seen
        keep = lists % step == 0
        seen += len(interaction)
        if not keep.any():
            continue
        batch = interaction.to(device)
        z = [standardise_(model.member_scores(m, batch)).cpu() for m in model.members]
        allowed = torch.ones(z[0].shape, dtype=torch.bool)
        if candidates is not None:
            allowed.zero_()[candidates] = True
        if history is not None:
            allowed[history] = False
        allowed[:, 0] = False
        parts.append((*_cases(z, allowed, rows[keep], items[keep], depth), lists[keep]))
    target, others, item, other, lists = (torch.cat(part) for part in zip(*parts))
    groups = model.groups.cpu()
    distinct, numbers = lists.unique(return_inverse=True)
    return Pool(target, others, groups[item], groups[other], numbers if len(distinct) < len(numbers) else None)


def _cases(z: Sequence[Tensor], allowed: Tensor, rows: Tensor, items: Tensor, depth: int) -> Tuple[Tensor, ...]:
    """Return target scores, other scores, target items and other items of some cases.

    Args:
        z: scores of each member, (n_rows, n_items).
        allowed: whether an item is a candidate, (n_rows, n_items).
        rows, items: row and right item of each case.
        depth: items of each member.
    """
    pool = (
        torch.cat([_best(scores, allowed, depth) for scores in z], dim=1).sort(dim=1).values
    )  # of each row, (n_rows, n_others)
    out = ~allowed.gather(1, pool)
    out[:, 1:] |= pool[:, 1:] == pool[:, :-1]
    scores = torch.stack([scores.gather(1, pool) for scores in z], dim=2).masked_fill_(out.unsqueeze(2), -torch.inf)
    pool, scores = pool[rows], scores[rows]
    scores = scores.masked_fill_((pool == items.unsqueeze(1)).unsqueeze(2), -torch.inf)
    return torch.stack([scores[rows, items] for scores in z], dim=1), scores, items, pool


def _best(scores: Tensor, allowed: Tensor, depth: int) -> Tensor:
    """Return the best allowed items of each row, (n_rows, depth)."""
    blocks = in_cache(scores, allowed)
    return torch.cat([part.masked_fill(~mask, -torch.inf).topk(depth, dim=1).indices for part, mask in blocks])


def metric_of_ranks(name: str) -> Tuple[str, int, Metric]:
    """Return name, cut-off and function of the metric that weights are chosen by: ``valid_metric``, or NDCG at its cut-off.

    The function takes ranks, (n_cases,), and the numbers of their lists, (n_cases,), unless each case has a list of its own. It
    returns the mean over lists, with RecBole's definitions (see :func:`recbole_sda.metrics.ranks.list_metrics`).

    Example:
        >>> name, k, metric = metric_of_ranks("Hit@2")
        >>> name, k, metric(torch.tensor([1, 2, 3, 4])), metric(torch.tensor([1, 2, 3, 4]), torch.tensor([0, 0, 0, 1]))
        ('hit@2', 2, 0.5, 0.5)
    """
    kind, _, cutoff = name.lower().partition("@")
    k = int(cutoff) if cutoff else 10
    kind = kind if kind in ("hit", "recall", "mrr") else "ndcg"

    def metric(ranks: Tensor, lists: Optional[Tensor] = None) -> float:
        gain = {"mrr": 1 / ranks, "ndcg": 1 / torch.log2(ranks + 1)}.get(kind, torch.ones(len(ranks)))
        gain = torch.where(ranks <= k, gain, 0.0)
        return float((gain if lists is None else _of_lists(kind, gain, lists, k)).mean())

    return f"{kind}@{k}", k, metric


def _of_lists(kind: str, gain: Tensor, lists: Tensor, k: int) -> Tensor:
    """Return the metric of each list, (n_lists,), from the gain of each case, 0 for ranks beyond k."""
    positives = torch.bincount(lists)
    empty = torch.zeros(len(positives), dtype=gain.dtype)
    if kind in ("hit", "mrr"):
        return empty.scatter_reduce(0, lists, gain, "amax")
    ideal = (
        positives if kind == "recall" else (1 / torch.log2(torch.arange(k) + 2.0)).cumsum(0)[positives.clamp(max=k) - 1]
    )
    return empty.index_add(0, lists, gain) / ideal


def search_weights(pool: Pool, metric: Metric, n_groups: int) -> Tuple[Tensor, float, List[float]]:
    """Return the weights with the best metric, that metric, and the metric of each member alone.

    Weights common to all groups are searched first, then those of each group.

    Args:
        pool: validation cases.
        metric: of ranks, larger is better.
        n_groups: number of groups of items.
    """
    n_members = pool.target.shape[1]
    alone = [metric(pool.ranks(row.repeat(n_groups, 1)), pool.lists) for row in torch.eye(n_members)]
    first = max(range(n_members), key=alone.__getitem__)
    weights, best = torch.eye(n_members)[first].repeat(n_groups, 1), alone[first]
    common = [(slice(None), m) for m in range(n_members) if m != first]
    weights, best = _coordinate_search(pool, metric, weights, best, common)
    if n_groups > 1:
        single = [(slice(g, g + 1), m) for g in range(n_groups) for m in range(n_members) if (g, m) != (0, first)]
        weights, best = _coordinate_search(pool, metric, weights, best, single)
    return weights, best, alone


def _coordinate_search(
    pool: Pool, metric: Metric, weights: Tensor, best: float, coordinates: List[Tuple[slice, int]]
) -> Tuple[Tensor, float]:
    for _ in range(MAX_ROUNDS):
        before = best
        for rows, member in coordinates:
            start = float(weights[rows, member][0])
            for value in [0.0, *(start * factor for factor in FACTORS)] if start else FIRST:
                tried = weights.clone()
                tried[rows, member] = value
                if not tried.any():
                    continue
                score = metric(pool.ranks(tried), pool.lists)
                if score > best:
                    weights, best = tried, score
        if best == before:
            break
    return weights, best
