"""What the neighbourhood recommenders share: a weighted history, and scores of all items from it."""

from typing import Any

from torch import Tensor

from recbole_sda.model.neighbours.history_weights import history_weights
from recbole_sda.model.untrained import UntrainedRecommender
from recbole_sda.validation import Range

DECAY = Range(0, 1, closed_low=False, closed_high=True)


class NeighbourhoodRecommender(UntrainedRecommender):
    """A sequential recommender that is not trained; a subclass defines :meth:`scores`. Key: ``knn_decay``."""

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.decay = DECAY.check("knn_decay", config["knn_decay"])

    def scores(self, items: Tensor, weights: Tensor) -> Tensor:
        """Return the scores of all items, (batch, n_items), from the items of each history and their weights, (batch, seq_len)."""
        raise NotImplementedError

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Return the scores of all items, (batch, n_items)."""
        items, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        return self.scores(items, history_weights(items, length, self.decay))
