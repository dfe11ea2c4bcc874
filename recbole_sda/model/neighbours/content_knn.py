"""A neighbourhood recommender for sequences by content: items whose features resemble a user's recent items."""

from typing import Any, Dict

from torch import Tensor
from torch.nn import functional as F

from recbole_sda.features.content import content_vectors
from recbole_sda.model.item_features import load_item_features
from recbole_sda.model.neighbours.base import NeighbourhoodRecommender
from recbole_sda.model.settings import FeatureSettings


class ContentKNN(NeighbourhoodRecommender):
    """Score of item i for a history: ``sum_j decay^age(j) cos(x_j, x_i)``, with age 0 for the last item.

    x is an item's content vector: its unit-length modality vectors, concatenated (see
    :func:`~recbole_sda.features.content.content_vectors`). Nothing is trained: the score shows what the features alone say, and is
    defined for items without a training interaction. An item without features scores 0.

    Key: ``knn_decay``.
    """

    vectors: Tensor

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.feature_record: Dict[str, Any]
        aligned, self.feature_record = load_item_features(config, dataset, FeatureSettings.from_config(config))
        vectors = content_vectors([aligned.matrices[name] for name in aligned.modalities], aligned.present)
        self.register_buffer("vectors", vectors, persistent=False)

    def scores(self, items: Tensor, weights: Tensor) -> Tensor:
        """Return the scores of all items, (batch, n_items), from the items of each history and their weights, (batch, seq_len)."""
        queries = F.embedding_bag(items, self.vectors, per_sample_weights=weights, mode="sum")
        return queries @ self.vectors.T
