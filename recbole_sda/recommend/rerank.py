"""Maximal marginal relevance: lists in which an item that resembles a better one gets a lower place.

Carbonell and Goldstein, SIGIR 1998: the next item of a list is the candidate with the largest
``weight * relevance - (1 - weight) * (largest similarity to an item of the list so far)``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence, Tuple, Union

import torch
from torch import Tensor
from torch.nn import functional as F

from recbole_sda.features.item_vectors import STEPS, store_and_modality, unit_vectors
from recbole_sda.features.transforms import view_of_others
from recbole_sda.recommend.new_items import NewItems
from recbole_sda.validation import AT_LEAST_ONE, Range

BLOCK = 2**25  # numbers of the candidates' vectors in memory at a time


@dataclass(frozen=True)
class MMR:
    """Re-ranking of the best candidates of each user.

    Attributes:
        vectors: unit vectors of the items, (n_items, dim), whose products are the similarities; zero for an item without one, which
            resembles no item.
        weight: of the relevance, in [0, 1]; 1 keeps the lists as they are, 0 reads the scores for the first item only.
        candidates: best items of a user that can be in the list.

    Example:
        Items 1 and 2 are the same thing, so the second place is item 3's.

        >>> mmr = MMR(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), weight=0.5, candidates=3)
        >>> mmr.best(torch.tensor([[-torch.inf, 3.0, 2.9, 1.0]]), 2)[1].tolist()
        [[1, 3]]
    """

    vectors: Tensor
    weight: float
    candidates: int

    def best(self, scores: Tensor, k: int) -> Tuple[Tensor, Tensor]:
        """Return the scores and the columns of the k items of each list, (n_users, k); see ``Tensor.topk``.

        Args:
            scores: (n_users, n_items); ``-inf`` for items that cannot be recommended. A user's scores are scaled to relevances
                from 0 (the worst candidate) to 1 (the best one).
            k: length of the lists, at most ``candidates``. A list with fewer candidates ends with scores of ``-inf``.
        """
        if self.weight == 1:
            best = scores.topk(k, dim=1)
            return best.values, best.indices
        values, columns = scores.topk(min(self.candidates, scores.shape[1]), dim=1)
        places = torch.empty(len(scores), k, dtype=torch.int64)
        found = torch.empty(len(scores), k, dtype=torch.bool)
        step = max(1, BLOCK // max(1, columns.shape[1] * self.vectors.shape[1]))
        for start in range(0, len(scores), step):
            part = slice(start, start + step)
            vectors = self.vectors[columns[part]]
            places[part], found[part] = _order(relevance(values[part]), vectors, k, self.weight)
        return values.gather(1, places).masked_fill(~found, -torch.inf), columns.gather(1, places)


def relevance(values: Tensor) -> Tensor:
    """Return scores scaled to [0, 1] in each row, ``-inf`` where they are; equal scores are all 1.

    Example:
        >>> relevance(torch.tensor([[5.0, 3.0, 1.0, -torch.inf]])).tolist()
        [[1.0, 0.5, 0.0, -inf]]
    """
    finite = values.isfinite()
    low = torch.where(finite, values, torch.inf).amin(dim=1, keepdim=True)
    high = torch.where(finite, values, -torch.inf).amax(dim=1, keepdim=True)
    spread = high - low
    scaled = torch.where(spread > 0, (values - low) / spread, 1.0)
    return torch.where(finite, scaled, -torch.inf)


def _order(relevances: Tensor, vectors: Tensor, k: int, weight: float) -> Tuple[Tensor, Tensor]:
    """Return the positions of the k candidates of each list in their new order, and which places have one, (n_users, k).

    Args:
        relevances: (n_users, n_candidates), best first; ``-inf`` for places without a candidate.
        vectors: (n_users, n_candidates, dim).
        k: length of the lists.
        weight: of the relevance.
    """
    users = torch.arange(len(relevances))
    left = torch.where(relevances.isfinite(), weight * relevances, -torch.inf)  # 0 * -inf is not a number
    nearest = torch.full_like(relevances, -1.0)  # the smallest cosine: nothing is in the list yet
    places, found = [], []
    for _ in range(k):
        value, chosen = (left - (1 - weight) * nearest).max(dim=1)
        places.append(chosen)
        found.append(value > -torch.inf)
        similarity = (vectors @ vectors[users, chosen].unsqueeze(2)).squeeze(2)
        nearest = torch.maximum(nearest, similarity)
        left[users, chosen] = -torch.inf
    return torch.stack(places, dim=1), torch.stack(found, dim=1)


def mmr_by_store(
    data_path: Union[str, Path],
    tokens: Sequence[str],
    new: Optional[NewItems],
    weight: float,
    candidates: int,
    features: Optional[str],
) -> MMR:
    """Return a re-ranking with the similarity of a feature store's vectors.

    Args:
        data_path: folder of the data set.
        tokens: external ids of the items; 0 is the padding item.
        new: new items, whose rows follow those of the items.
        weight, candidates, features: see :meth:`recbole_sda.recommend.recommender.Recommender.mmr`.

    Raises:
        InputError: a value is out of range, or there is no such store or modality, or new items have no such vectors.
    """
    weight = Range(0, 1, closed_high=True).check("mmr_lambda", weight)
    candidates = AT_LEAST_ONE.check("rerank_candidates", candidates, whole=True)
    store, modality = store_and_modality(data_path, features)
    vectors = unit_vectors(store, modality, tokens)
    if new is not None:
        new.store.check_modalities([modality])
        rows = new.store.rows(new.ids)
        vectors = torch.cat([vectors, F.normalize(view_of_others(store, new.store, modality, STEPS)[rows], dim=1)])
    return MMR(vectors, weight, candidates)
