"""A neighbourhood recommender for sequences by content: items whose features resemble a user's recent items."""

from typing import Any, Dict

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_sda.features.content import content_vectors
from recbole_sda.model.item_features import load_item_features
from recbole_sda.model.neighbours.history_weights import DECAY, history_weights
from recbole_sda.model.settings import FeatureSettings


class ContentKNN(SequentialRecommender):
    """Score of item i for a history: ``sum_j decay^age(j) cos(x_j, x_i)``, with age 0 for the last item.

    x is an item's content vector: its unit-length modality vectors, concatenated (see
    :func:`~recbole_sda.features.content.content_vectors`). Nothing is trained: the score shows what the features alone say, and is
    defined for items without a training interaction. An item without features scores 0.

    Key: ``knn_decay``.
    """

    input_type = InputType.POINTWISE
    vectors: Tensor

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.decay = DECAY.check("knn_decay", config["knn_decay"])
        self.feature_record: Dict[str, Any]
        aligned, self.feature_record = load_item_features(config, dataset, FeatureSettings.from_config(config))
        vectors = content_vectors([aligned.matrices[name] for name in aligned.modalities], aligned.present)
        self.register_buffer("vectors", vectors, persistent=False)
        self.fake_loss = nn.Parameter(torch.zeros(1))  # RecBole's trainer needs a parameter

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return zero: there is nothing to train."""
        return self.fake_loss.sum()

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Return the scores of all items, (batch, n_items)."""
        histories = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        return history_weights(*histories, self.decay, self.n_items) @ self.vectors @ self.vectors.T

    def predict(self, interaction: Any) -> Tensor:
        """Return the score of one item for each sample, (batch,)."""
        return self.full_sort_predict(interaction).gather(1, interaction[self.ITEM_ID].unsqueeze(1)).squeeze(1)
