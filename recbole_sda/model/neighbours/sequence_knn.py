"""A neighbourhood recommender for sequences: items bought together with a user's recent items."""

from typing import Any

from torch import Tensor

from recbole_sda.graphs.cooccurrence import cooccurrence_similarity
from recbole_sda.graphs.sparse import SparseMatrix
from recbole_sda.model.known_items import training_pairs
from recbole_sda.model.neighbours.base import NeighbourhoodRecommender
from recbole_sda.validation import AT_LEAST_ONE, NOT_NEGATIVE


class SequenceKNN(NeighbourhoodRecommender):
    """Score of item i for a history: ``sum_j decay^age(j) * S_ij``, with age 0 for the last item.

    S is the co-occurrence of items in the users' training sequences (see
    :func:`~recbole_sda.graphs.cooccurrence.cooccurrence_similarity`). Nothing is trained. Ludewig and Jannach 2018 show how strong
    such models are beside neural ones.

    Keys: ``knn_neighbours`` kept per item, ``knn_shrinkage``, ``knn_decay``.
    """

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        k = AT_LEAST_ONE.check("knn_neighbours", config["knn_neighbours"], whole=True)
        shrinkage = NOT_NEGATIVE.check("knn_shrinkage", config["knn_shrinkage"])
        users, items = training_pairs(dataset)
        similarity = cooccurrence_similarity(users, items, dataset.user_num, dataset.item_num, shrinkage, k)
        self.similarity = SparseMatrix(similarity)  # row i: the items that speak for i

    def scores(self, weights: Tensor) -> Tensor:
        """Return the scores of all items, (batch, n_items), from the weights of the items in each history."""
        return self.similarity(weights.T.contiguous()).T
