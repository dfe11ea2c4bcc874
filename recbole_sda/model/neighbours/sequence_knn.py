"""A neighbourhood recommender for sequences: items bought together with a user's recent items."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbole_sda.graphs.cooccurrence import cached_similarity
from recbole_sda.model.known_items import training_pairs
from recbole_sda.model.neighbours.base import NeighbourhoodRecommender
from recbole_sda.validation import AT_LEAST_ONE, NOT_NEGATIVE


class SequenceKNN(NeighbourhoodRecommender):
    """Score of item i for a history: ``sum_j decay^age(j) * S_ij``, with age 0 for the last item.

    S is the co-occurrence of items in the users' training sequences (see
    :func:`~recbole_sda.graphs.cooccurrence.cooccurrence_similarity`), cached in ``<data_path>/<dataset>/graphs``. Nothing is
    trained. Ludewig and Jannach 2018 show how strong such models are beside neural ones.

    Keys: ``knn_neighbours`` kept per item, ``knn_shrinkage``, ``knn_decay``.
    """

    start: Tensor
    count: Tensor
    neighbour: Tensor
    similarity: Tensor

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        k = AT_LEAST_ONE.check("knn_neighbours", config["knn_neighbours"], whole=True)
        shrinkage = NOT_NEGATIVE.check("knn_shrinkage", config["knn_shrinkage"])
        users, items = training_pairs(dataset)
        folder = Path(config["data_path"]) / "graphs"
        similarity = cached_similarity(folder, users, items, dataset.user_num, dataset.item_num, shrinkage, k)
        spoken_for = similarity.T.tocsr()  # row j: the items that j speaks for
        for name, values in (("start", spoken_for.indptr[:-1]), ("count", np.diff(spoken_for.indptr))):
            self.register_buffer(name, torch.from_numpy(values.astype(np.int64)), persistent=False)
        self.register_buffer("neighbour", torch.from_numpy(spoken_for.indices.astype(np.int32)), persistent=False)
        self.register_buffer("similarity", torch.from_numpy(spoken_for.data.astype(np.float32)), persistent=False)

    def scores(self, items: Tensor, weights: Tensor) -> Tensor:
        """Return the scores of all items, (batch, n_items), from the items of each history and their weights, (batch, seq_len).

        The work is proportional to the neighbours of the items in the histories, not to the catalogue.
        """
        row, place = weights.nonzero(as_tuple=True)
        item, weight = items[row, place], weights[row, place]
        count = self.count[item]
        pair = torch.arange(len(item), device=item.device).repeat_interleave(count)
        inside = torch.arange(len(pair), device=item.device) - (count.cumsum(0) - count)[pair]
        entry = self.start[item][pair] + inside
        scores = torch.zeros(len(items), self.n_items, device=item.device)
        cell = row[pair] * self.n_items + self.neighbour[entry]
        scores.view(-1).index_add_(0, cell, weight[pair] * self.similarity[entry])
        return scores
