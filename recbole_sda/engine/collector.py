"""RecBole's collector of evaluation results, without a matrix of users by items beside the scores."""

import copy
from typing import Dict, List, NamedTuple

import numpy as np
import torch
from recbole.evaluator.collector import Collector

from recbole_sda.metrics.ranks import Cases, break_ties, ranks_of


class Ranking(NamedTuple):
    """What one evaluation ranked, beside its metrics.

    Attributes:
        cases: ranks of the right items.
        recommended: k -> how often each item stands in a top-k list, (n_items,); empty where nothing counted it.
    """

    cases: Cases
    recommended: Dict[int, np.ndarray]


class TopKCollector(Collector):
    """Collects which of the top k are hits from the k items alone; whatever else metrics need is RecBole's to collect.

    Attributes:
        ranking: of the last evaluation.
    """

    def __init__(self, config):
        super().__init__(config)
        self.ranking = Ranking(Cases.join([]), {})
        self._register, self._other_needs = self.register, copy.copy(self.register)
        vars(self._other_needs).update({"rec.topk": False, "rec.items": False})
        self._begin()

    def _begin(self) -> None:
        self._parts: List[Cases] = []
        self._counts: Dict[int, torch.Tensor] = {}
        self._rows = 0

    def _keep(self, scores, interaction, row, item, rank) -> None:
        users = interaction[self.config["USER_ID_FIELD"]] if self.config["USER_ID_FIELD"] in interaction else ()
        if len(users) > len(scores):  # a sample per candidate, those of a list together
            users = torch.unique_consecutive(users)
        if len(users) != len(scores):
            return
        columns = (row + self._rows, users.to(row.device)[row], item, rank)
        self._parts.append(Cases(*(column.cpu().numpy() for column in columns)))
        self._rows += len(scores)

    def _count(self, top: torch.Tensor, n_items: int) -> None:
        for k in self.topk:
            counts = torch.bincount(top[:, :k].flatten(), minlength=n_items)
            self._counts[k] = self._counts[k] + counts if k in self._counts else counts

    def get_data_struct(self):
        recommended = {k: counts.cpu().numpy() for k, counts in self._counts.items()}
        self.ranking = Ranking(Cases.join(self._parts), recommended)
        self._begin()
        return super().get_data_struct()

    def eval_batch_collect(self, scores_tensor, interaction, positive_u, positive_i):
        ranked = scores_tensor.dim() == 2 and positive_u is not None
        if ranked:
            self._rank(scores_tensor, interaction, positive_u, positive_i)
        self.register = self._other_needs if ranked else self._register
        try:
            super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
        finally:
            self.register = self._register

    def _rank(self, scores_tensor, interaction, positive_u, positive_i) -> None:
        """Keep the ranks of the right items, and what metrics need of the top k."""
        row, item = positive_u.to(scores_tensor.device), positive_i.to(scores_tensor.device)
        rank = break_ties(row, ranks_of(scores_tensor, row, item))
        self._keep(scores_tensor, interaction, row, item, rank)
        n_users, n_items = scores_tensor.shape
        top = scores_tensor.topk(max(self.topk), dim=-1).indices
        self._count(top, n_items)
        hits = torch.zeros_like(top, dtype=torch.int32)
        inside = rank <= hits.shape[1]
        hits[row[inside], rank[inside] - 1] = 1  # not where `top` has the item: among equal scores that is chance
        n_positives = torch.bincount(row, minlength=n_users).unsqueeze(1)
        if self.register.need("rec.topk"):
            self.data_struct.update_tensor("rec.topk", torch.cat([hits, n_positives.int()], dim=1))
        if self.register.need("rec.items"):
            self.data_struct.update_tensor("rec.items", top)
