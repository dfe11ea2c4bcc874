"""Fusion of an item's modality embeddings into one vector, with a mask of missing modalities.

Every fusion maps ``embeddings`` (n_modalities, n_items, dim) and ``present`` (n_modalities, n_items), bool, to item
embeddings (n_items, dim). Where a modality is missing, ``embeddings`` holds the learned embedding of a missing modality.
Concatenation always uses it; the other fusions use it only for an item without any modality.
"""

import torch
from torch import Tensor, nn


def _usable(present: Tensor) -> Tensor:
    """Return ``present`` with all modalities marked as present for items that have none."""
    return present | ~present.any(dim=0, keepdim=True)


class MeanFusion(nn.Module):
    """Mean over the modalities that an item has. It has no parameters; the arguments are those of the other fusions."""

    def __init__(self, n_modalities: int, dim: int):
        super().__init__()

    def forward(self, embeddings: Tensor, present: Tensor) -> Tensor:
        weights = _usable(present).to(embeddings.dtype)
        weights = weights / weights.sum(dim=0, keepdim=True)
        return torch.einsum("mn,mnd->nd", weights, embeddings)


class ConcatFusion(nn.Module):
    """Concatenation of all modalities, followed by a linear projection to ``dim``.

    Args:
        n_modalities: number of modalities.
        dim: width of a modality embedding and of the item embedding.
    """

    def __init__(self, n_modalities: int, dim: int):
        super().__init__()
        self.projection = nn.Linear(n_modalities * dim, dim)
        nn.init.zeros_(self.projection.bias)

    def forward(self, embeddings: Tensor, present: Tensor) -> Tensor:
        return self.projection(embeddings.transpose(0, 1).flatten(1))


class GatedFusion(nn.Module):
    """Weighted mean over the modalities that an item has. The weights are a softmax of a linear score of each embedding.

    Args:
        n_modalities: number of modalities; unused, since one score serves all of them.
        dim: width of a modality embedding and of the item embedding.
    """

    def __init__(self, n_modalities: int, dim: int):
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def forward(self, embeddings: Tensor, present: Tensor) -> Tensor:
        scores = self.score(torch.tanh(embeddings)).squeeze(-1)  # (n_modalities, n_items)
        weights = scores.masked_fill(~_usable(present), float("-inf")).softmax(dim=0)
        return torch.einsum("mn,mnd->nd", weights, embeddings)


FUSIONS = {"mean": MeanFusion, "concat": ConcatFusion, "gated": GatedFusion}
