"""What a re-ranking changes on validation data: relevance, against the held-out items, and diversity of the lists."""

from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from recbole_sda.engine.run import Run
from recbole_sda.metrics.list_quality import diversities
from recbole_sda.metrics.ranks import Cases, list_metrics
from recbole_sda.recommend.rerank import MMR

MAX_LISTS = 5000  # of the validation data, the first ones


class Effect(NamedTuple):
    """Figures of lists before and after a re-ranking.

    Attributes:
        n_lists: number of validation lists.
        k: length of the lists.
        ndcg, hit, diversity: before and after; see :mod:`recbole_sda.metrics.ranks` and
            :func:`recbole_sda.metrics.list_quality.diversities`.
    """

    n_lists: int
    k: int
    ndcg: Tuple[float, float]
    hit: Tuple[float, float]
    diversity: Tuple[float, float]

    def __str__(self) -> str:
        names = {f"ndcg@{self.k}": self.ndcg, f"hit@{self.k}": self.hit, f"diversity@{self.k}": self.diversity}
        return ", ".join(f"{name} {before:.4f} -> {after:.4f}" for name, (before, after) in names.items())


def rerank_effect(run: Run, mmr: MMR, k: int) -> Optional[Effect]:
    """Return the effect on at most 5,000 validation lists; None without validation by full sort.

    Args:
        run: an open run with its weights.
        mmr: the re-ranking.
        k: length of the lists.
    """
    if run.data.valid is None or run.config["eval_args"]["mode"]["valid"] != "full":
        return None
    unit = mmr.vectors[: run.data.dataset.item_num].numpy()
    parts: Dict[str, List[Dict[str, np.ndarray]]] = {"before": [], "after": []}
    n_lists = 0
    for scores, row, item in run.trainer.scored(run.data.valid):
        scores, row, item = scores.float().cpu(), row.cpu(), item.cpu()
        n_lists += len(scores)
        parts["before"].append(_figures(*scores.topk(k, dim=1), row, item, unit))
        parts["after"].append(_figures(*mmr.best(scores, k), row, item, unit))
        if n_lists >= MAX_LISTS:
            break
    means = {
        name: [float(np.nanmean(np.concatenate([part[name] for part in parts[when]]))) for when in parts]
        for name in ("ndcg", "hit", "diversity")
    }
    pairs = {name: (before, after) for name, (before, after) in means.items()}
    return Effect(n_lists, k, **pairs)


def _figures(values: Tensor, columns: Tensor, row: Tensor, item: Tensor, unit: np.ndarray) -> Dict[str, np.ndarray]:
    """Return NDCG, Hit and diversity of each list."""
    lists = torch.where(values > -torch.inf, columns, 0)
    k = lists.shape[1]
    match = lists[row] == item[:, None]
    rank = torch.where(match.any(dim=1), match.int().argmax(dim=1) + 1, k + 1).numpy()
    found = list_metrics(Cases(row.numpy(), row.numpy(), item.numpy(), rank), [k])
    return {"ndcg": found[f"ndcg@{k}"], "hit": found[f"hit@{k}"], "diversity": diversities(lists.numpy(), unit)}
