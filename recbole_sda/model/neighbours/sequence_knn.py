"""A neighbourhood recommender for sequences: items bought together with a user's recent items."""

from typing import Any

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_sda.graphs.cooccurrence import cooccurrence_similarity
from recbole_sda.graphs.sparse import SparseMatrix
from recbole_sda.model.known_items import training_pairs
from recbole_sda.model.neighbours.history_weights import DECAY, history_weights
from recbole_sda.validation import AT_LEAST_ONE, NOT_NEGATIVE


class SequenceKNN(SequentialRecommender):
    """Score of item i for a history: ``sum_j decay^age(j) * S_ij``, with age 0 for the last item.

    S is the co-occurrence of items in the users' training sequences (see
    :func:`~recbole_sda.graphs.cooccurrence.cooccurrence_similarity`). Nothing is trained. Ludewig and Jannach 2018 show how strong
    such models are beside neural ones.

    Keys: ``knn_neighbours`` kept per item, ``knn_shrinkage``, ``knn_decay``.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        k = AT_LEAST_ONE.check("knn_neighbours", config["knn_neighbours"], whole=True)
        shrinkage = NOT_NEGATIVE.check("knn_shrinkage", config["knn_shrinkage"])
        self.decay = DECAY.check("knn_decay", config["knn_decay"])
        users, items = training_pairs(dataset)
        similarity = cooccurrence_similarity(users, items, dataset.user_num, dataset.item_num, shrinkage, k)
        self.similarity = SparseMatrix(similarity)  # row i: the items that speak for i
        self.fake_loss = nn.Parameter(torch.zeros(1))  # RecBole's trainer needs a parameter

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return zero: there is nothing to train."""
        return self.fake_loss.sum()

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Return the scores of all items, (batch, n_items)."""
        histories = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        return self.similarity(history_weights(*histories, self.decay, self.n_items).T.contiguous()).T

    def predict(self, interaction: Any) -> Tensor:
        """Return the score of one item for each sample, (batch,)."""
        return self.full_sort_predict(interaction).gather(1, interaction[self.ITEM_ID].unsqueeze(1)).squeeze(1)
