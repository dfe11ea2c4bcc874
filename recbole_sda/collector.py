"""RecBole's collector of evaluation results, without a matrix of users by items beside the scores."""

from typing import Dict, List, NamedTuple

import numpy as np
import torch
from recbole.evaluator.collector import Collector

from recbole_sda.metrics.ranks import Cases, ranks_of


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
        self._begin()

    def _begin(self) -> None:
        self._parts: List[Cases] = []
        self._counts: Dict[int, torch.Tensor] = {}
        self._rows = 0

    def _keep(self, scores, interaction, positive_u, positive_i) -> None:
        if scores.dim() != 2 or positive_u is None or self.config["USER_ID_FIELD"] not in interaction:
            return
        users = interaction[self.config["USER_ID_FIELD"]]
        if len(users) != len(scores):
            return
        row, item = positive_u.to(scores.device), positive_i.to(scores.device)
        columns = (row + self._rows, users.to(row.device)[row], item, ranks_of(scores, row, item))
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
        self._keep(scores_tensor, interaction, positive_u, positive_i)
        whole = any(self.register.need(key) for key in ("rec.meanrank", "rec.score", "data.label"))
        if whole or not self.register.need("rec.topk"):
            super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
            return
        n_users, n_items = scores_tensor.shape
        device = scores_tensor.device
        positive_u, positive_i = positive_u.to(device), positive_i.to(device)
        top = scores_tensor.topk(max(self.topk), dim=-1).indices
        self._count(top, n_items)
        places = top + n_items * torch.arange(n_users, device=device).unsqueeze(1)
        hits = torch.isin(places, positive_i + n_items * positive_u)
        n_positives = torch.bincount(positive_u, minlength=n_users).unsqueeze(1)
        self.data_struct.update_tensor("rec.topk", torch.cat([hits.int(), n_positives.int()], dim=1))
        if self.register.need("rec.items"):
            self.data_struct.update_tensor("rec.items", top)
