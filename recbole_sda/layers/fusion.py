"""Fusion of an item's modality embeddings into one vector, honouring missing modalities.

Every fusion maps embeddings (n_modalities, n_items, dim) and ``present`` (n_modalities, n_items), bool, to
(n_items, dim). Where a modality is missing its row of ``embeddings`` holds a stand-in, which is used only by
concatenation, or when an item has no modality at all.
"""

import torch
from torch import Tensor, nn


def _usable(present: Tensor) -> Tensor:
    """Return ``present`` with the items that have no modality marked as having all of them (the stand-ins)."""
    return present | ~present.any(dim=0, keepdim=True)


class MeanFusion(nn.Module):
    """Mean over the modalities that an item has."""

    def __init__(self, n_modalities: int, dim: int):
        super().__init__()

    def forward(self, embeddings: Tensor, present: Tensor) -> Tensor:
        weights = _usable(present).to(embeddings.dtype)
        weights = weights / weights.sum(dim=0, keepdim=True)
        return torch.einsum("mn,mnd->nd", weights, embeddings)


class ConcatFusion(nn.Module):
    """Concatenation of all modalities, then a linear projection to ``dim``."""

    def __init__(self, n_modalities: int, dim: int):
        super().__init__()
        self.projection = nn.Linear(n_modalities * dim, dim)
        nn.init.zeros_(self.projection.bias)

    def forward(self, embeddings: Tensor, present: Tensor) -> Tensor:
        return self.projection(embeddings.transpose(0, 1).flatten(1))


class GatedFusion(nn.Module):
    """Weighted mean whose weights are a softmax over the item's modalities of a linear score of each embedding."""

    def __init__(self, n_modalities: int, dim: int):
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def forward(self, embeddings: Tensor, present: Tensor) -> Tensor:
        scores = self.score(torch.tanh(embeddings)).squeeze(-1)  # (n_modalities, n_items)
        weights = scores.masked_fill(~_usable(present), float("-inf")).softmax(dim=0)
        return torch.einsum("mn,mnd->nd", weights, embeddings)


FUSIONS = {"mean": MeanFusion, "concat": ConcatFusion, "gated": GatedFusion}
