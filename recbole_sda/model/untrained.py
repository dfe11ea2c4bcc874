"""What recommenders share in which nothing is trained: neighbourhoods and ensembles."""

from typing import Any

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn


class UntrainedRecommender(SequentialRecommender):
    """A sequential recommender without training; a subclass defines ``full_sort_predict``."""

    input_type = InputType.POINTWISE

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.fake_loss = nn.Parameter(torch.zeros(1))  # RecBole's trainer needs a parameter

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return zero: there is nothing to train."""
        return self.fake_loss.sum()

    def predict(self, interaction: Any) -> Tensor:
        """Return the score of one item for each sample, (batch,)."""
        scores: Tensor = self.full_sort_predict(interaction)
        return scores.gather(1, interaction[self.ITEM_ID].unsqueeze(1)).squeeze(1)
