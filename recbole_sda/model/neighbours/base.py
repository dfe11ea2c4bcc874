"""What the neighbourhood recommenders share: a weighted history, scores of all items from it, and nothing to train."""

from typing import Any

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_sda.model.neighbours.history_weights import history_weights
from recbole_sda.validation import Range

DECAY = Range(0, 1, closed_low=False, closed_high=True)


class NeighbourhoodRecommender(SequentialRecommender):
    """A sequential recommender that is not trained; a subclass defines :meth:`scores`. Key: ``knn_decay``."""

    input_type = InputType.POINTWISE

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.decay = DECAY.check("knn_decay", config["knn_decay"])
        self.fake_loss = nn.Parameter(torch.zeros(1))  # RecBole's trainer needs a parameter

    def scores(self, items: Tensor, weights: Tensor) -> Tensor:
        """Return the scores of all items, (batch, n_items), from the items of each history and their weights, (batch, seq_len)."""
        raise NotImplementedError

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return zero: there is nothing to train."""
        return self.fake_loss.sum()

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Return the scores of all items, (batch, n_items)."""
        items, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        return self.scores(items, history_weights(items, length, self.decay))

    def predict(self, interaction: Any) -> Tensor:
        """Return the score of one item for each sample, (batch,)."""
        return self.full_sort_predict(interaction).gather(1, interaction[self.ITEM_ID].unsqueeze(1)).squeeze(1)
