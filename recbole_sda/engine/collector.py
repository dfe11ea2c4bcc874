"""RecBole's collector of evaluation results, without a second (n_users, n_items) matrix next to the scores."""

import copy
from typing import Any, Dict, List, NamedTuple, Optional

import numpy as np
import torch
from recbole.evaluator.collector import Collector
from torch import Tensor

from recbole_sda.metrics.ranks import Cases, break_ties, ranks_of


class Lists(NamedTuple):
    """Top-k lists of one evaluation.

    Attributes:
        items: internal ids, best first, (n_lists, largest k), int32; 0 where a list has fewer candidates.
        users: user of each list, (n_lists,), int64.
    """

    items: np.ndarray
    users: np.ndarray


class Ranking(NamedTuple):
    """Ranks and recommendations of one evaluation.

    Attributes:
        cases: ranks of the right items.
        recommended: k -> how often each item is in a top-k list, (n_items,), int64; empty if the evaluation did not rank
            all items together.
        lists: the lists themselves, where the key ``list_metrics`` asks for them.
    """

    cases: Cases
    recommended: Dict[int, np.ndarray]
    lists: Optional[Lists] = None


class TopKCollector(Collector):
    """Collector that computes the hits among the top k from the top-k items alone. RecBole's code collects everything else.

    Attributes:
        ranking: ranking of the last evaluation.
    """

    register: Any  # RecBole's: what the metrics of the run need

    def __init__(self, config: Any):
        super().__init__(config)
        self.ranking = Ranking(Cases.join([]), {})
        self._all_needs = self.register
        self._other_needs = copy.copy(self._all_needs)
        vars(self._other_needs).update({"rec.topk": False, "rec.items": False})
        self._begin()

    def _begin(self) -> None:
        self._parts: List[Cases] = []
        self._counts: Dict[int, Tensor] = {}
        self._lists: List[Lists] = []
        self._n_rows = 0

    def _users(self, scores: Tensor, interaction: Any) -> Optional[Tensor]:
        """Return the user of each row of scores; None where the batch does not have them."""
        if self.config["USER_ID_FIELD"] not in interaction:
            return None
        users: Tensor = interaction[self.config["USER_ID_FIELD"]]
        if len(users) > len(scores):  # a sample per candidate; the samples of a list are consecutive
            users = torch.unique_consecutive(users)
        return users if len(users) == len(scores) else None

    def _add_cases(self, scores: Tensor, users: Tensor, row: Tensor, item: Tensor, rank: Tensor) -> None:
        columns = (row + self._n_rows, users.to(row.device)[row], item, rank)
        self._parts.append(Cases(*(column.cpu().numpy() for column in columns)))
        self._n_rows += len(scores)

    def _add_counts(self, top: Tensor, n_items: int) -> None:
        for k in self.topk:
            counts = torch.bincount(top[:, :k].flatten(), minlength=n_items)
            self._counts[k] = self._counts[k] + counts if k in self._counts else counts

    def get_data_struct(self) -> Any:
        """Return what RecBole's metrics need, and set ``ranking``."""
        recommended = {k: counts.cpu().numpy() for k, counts in self._counts.items()}
        lists = Lists(*map(np.concatenate, zip(*self._lists))) if self._lists else None
        self.ranking = Ranking(Cases.join(self._parts), recommended, lists)
        self._begin()
        return super().get_data_struct()

    def eval_batch_collect(
        self, scores_tensor: Tensor, interaction: Any, positive_u: Optional[Tensor], positive_i: Optional[Tensor]
    ) -> None:
        """Collect a batch; see RecBole's ``Collector.eval_batch_collect``."""
        ranked = scores_tensor.dim() == 2 and positive_u is not None and positive_i is not None
        if ranked:
            self._rank(scores_tensor, interaction, positive_u, positive_i)
        self.register = self._other_needs if ranked else self._all_needs
        try:
            super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
        finally:
            self.register = self._all_needs

    def _rank(self, scores: Tensor, interaction: Any, positive_u: Any, positive_i: Any) -> None:
        """Collect the ranks of the right items, and what metrics need of the top k."""
        row, item = positive_u.to(scores.device), positive_i.to(scores.device)
        rank = break_ties(row, ranks_of(scores, row, item))
        users = self._users(scores, interaction)
        if users is not None:
            self._add_cases(scores, users, row, item, rank)
        n_users, n_items = scores.shape
        best, top = scores.topk(max(self.topk), dim=-1)
        if self.config["list_metrics"] and users is not None:
            lists = torch.where(best > -torch.inf, top, 0).int()
            self._lists.append(Lists(lists.cpu().numpy(), users.cpu().numpy()))
        self._add_counts(top, n_items)
        hits = torch.zeros_like(top, dtype=torch.int32)
        inside = rank <= hits.shape[1]
        hits[row[inside], rank[inside] - 1] = (
            1  # by rank: the place of an item in `top` is arbitrary among equal scores
        )
        n_positives = torch.bincount(row, minlength=n_users).unsqueeze(1)
        if self.register.need("rec.topk"):
            self.data_struct.update_tensor("rec.topk", torch.cat([hits, n_positives.int()], dim=1))
        if self.register.need("rec.items"):
            self.data_struct.update_tensor("rec.items", top)
