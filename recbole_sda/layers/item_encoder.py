"""Item encoders: from the modality features of an item to its embedding.

An encoder answers two calls, so that a loss can look at the modalities before they are fused:
``project(features, present)`` gives one embedding per modality, ``fuse(embeddings, present)`` the item embedding.
Features are a list with one matrix (n_items, d_m) per modality, ``present`` is (n_modalities, n_items), bool.
"""

from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.layers.fusion import FUSIONS
from recbole_sda.layers.low_rank import ModalityExperts


class ItemEncoder(nn.Module):
    """What both encoders share: dropout of features and the learned stand-in for a missing modality.

    Args:
        dims: width of each modality's features.
        out_dim: width of the item embedding.
        feature_dropout: probability of dropping a feature of the input while training, in [0, 1).
        modality_dropout: probability that a modality of an item is left out of a training step, in [0, 1); one always stays.
    """

    def __init__(self, dims: Sequence[int], out_dim: int, feature_dropout: float = 0.0, modality_dropout: float = 0.0):
        super().__init__()
        self.dims = list(dims)
        self.modality_dropout = modality_dropout
        self.feature_dropout = nn.Dropout(feature_dropout)
        self.missing_embedding = nn.Parameter(torch.zeros(len(self.dims), out_dim))

    def _load_from_state_dict(self, state_dict: Dict[str, Any], prefix: str, *args: Any) -> None:
        if f"{prefix}absent" in state_dict:  # its name in checkpoints of versions before 0.2
            state_dict[f"{prefix}missing_embedding"] = state_dict.pop(f"{prefix}absent")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, features: Sequence[Tensor], present: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the modality embeddings as :meth:`project` does, and the item embeddings, (n_items, out_dim)."""
        modalities, kept = self.project(features, present), self.drop_modalities(present)
        shown = (
            modalities
            if kept is present
            else torch.where(kept.unsqueeze(-1), modalities, self.missing_embedding.unsqueeze(1))
        )
        return modalities, self.fuse(shown, kept)

    def drop_modalities(self, present: Tensor) -> Tensor:
        """Return which modalities of each item take part, (n_modalities, n_items): all that are there, but for dropout."""
        if not self.training or self.modality_dropout == 0 or len(self.dims) < 2:
            return present
        drawn = torch.rand(present.shape, device=present.device)
        kept = present & (drawn >= self.modality_dropout)
        best = drawn.masked_fill(~present, -1.0).argmax(dim=0)
        return kept | (present & (torch.arange(len(present), device=best.device).unsqueeze(1) == best))

    def _map(self, x: Tensor, modality: int) -> Tensor:
        raise NotImplementedError

    def project(self, features: Sequence[Tensor], present: Tensor) -> Tensor:
        """Return the modality embeddings, (n_modalities, n_items, out_dim); a missing one is its learned stand-in."""
        mapped = [
            torch.where(present[m].unsqueeze(-1), self._map(self.feature_dropout(x), m), self.missing_embedding[m])
            for m, x in enumerate(features)
        ]
        return torch.stack(mapped)

    def fuse(self, embeddings: Tensor, present: Tensor) -> Tensor:
        """Return the item embeddings, (n_items, out_dim)."""
        raise NotImplementedError

    def scale_(self, factor: float) -> None:
        """Multiply the freshly initialised output by ``factor``, in place."""
        raise NotImplementedError

    def matrices(self) -> List[nn.Parameter]:
        """Return the matrices: a step of Adam changes their product with features by many times its size."""
        return [p for p in self.parameters() if p.dim() == 2]

    def gates(self) -> Optional[Tensor]:
        """Return the mixture weights of the experts, (n_modalities, n_experts), or None where there are none."""
        return None


class MoDAItemEncoder(ItemEncoder):
    """One linear map for all modalities plus modality-gated low-rank experts, then fusion.

        z_m = W x_m + b + (alpha / rank) * sum_e g[m, e] * B_e A_e x_m

    Without dropout on the low-rank path each modality's whole map is formed once, ``W + delta_m``: it is small beside
    the catalogue. A modality narrower than the widest one uses the leading columns of W and A.

    Args:
        dims, out_dim, feature_dropout, modality_dropout: see :class:`ItemEncoder`.
        rank: total rank of the experts; 0 leaves the experts out (the shared map alone).
        n_experts, alpha, dropout: see :class:`~recbole_sda.layers.low_rank.ModalityExperts`.
        fusion: ``mean``, ``concat`` or ``gated``.
    """

    def __init__(
        self,
        dims: Sequence[int],
        out_dim: int,
        rank: int = 8,
        n_experts: int = 4,
        alpha: float = 32.0,
        dropout: float = 0.0,
        fusion: str = "mean",
        feature_dropout: float = 0.0,
        modality_dropout: float = 0.0,
    ):
        super().__init__(dims, out_dim, feature_dropout, modality_dropout)
        self.shared = nn.Linear(max(dims), out_dim)
        nn.init.normal_(self.shared.weight, std=max(dims) ** -0.5)
        nn.init.zeros_(self.shared.bias)
        self.experts = None
        if rank:
            self.experts = ModalityExperts(max(dims), out_dim, len(self.dims), n_experts, rank, alpha, dropout)
        self.fusion = FUSIONS[fusion](len(self.dims), out_dim)

    @torch.no_grad()
    def start_as_identity(self) -> None:
        """Make the shared map the identity, or, where it narrows, orthonormal rows, which keep lengths and angles on average."""
        square = self.shared.out_features == max(self.dims)
        (nn.init.eye_ if square else nn.init.orthogonal_)(self.shared.weight)

    def _map(self, x: Tensor, modality: int) -> Tensor:
        weight = self.shared.weight
        explicit = self.experts is not None and self.training and self.experts.dropout.p > 0
        if self.experts is not None and not explicit:
            weight = weight + self.experts.delta_weight(modality)
        z = F.linear(x, weight[:, : x.shape[-1]], self.shared.bias)
        return z + self.experts(x, modality) if explicit else z

    def fuse(self, embeddings: Tensor, present: Tensor) -> Tensor:
        return self.fusion(embeddings, present)

    @torch.no_grad()
    def scale_(self, factor: float) -> None:
        self.shared.weight.mul_(factor)

    def gates(self) -> Optional[Tensor]:
        return None if self.experts is None else self.experts.gate()


class LinearItemEncoder(ItemEncoder):
    """The reference's recommender: concatenation of the modalities, Linear(sum of dims, hidden), Linear(hidden, out).

    Both maps are linear, so the result is a sum of one part per modality; these parts are what ``project`` returns,
    and the biases are added by ``fuse``. A missing modality adds its learned stand-in.

    Args:
        dims, out_dim, feature_dropout, modality_dropout: see :class:`ItemEncoder`.
        hidden_size: width between the two maps.
    """

    def __init__(
        self,
        dims: Sequence[int],
        out_dim: int,
        hidden_size: int = 768,
        feature_dropout: float = 0.0,
        modality_dropout: float = 0.0,
    ):
        super().__init__(dims, out_dim, feature_dropout, modality_dropout)
        self.first = nn.Linear(sum(dims), hidden_size)
        self.second = nn.Linear(hidden_size, out_dim)
        self.offsets = [sum(self.dims[:m]) for m in range(len(self.dims))]

    def _map(self, x: Tensor, modality: int) -> Tensor:
        start = self.offsets[modality]
        hidden = F.linear(x, self.first.weight[:, start : start + self.dims[modality]])
        return F.linear(hidden, self.second.weight)

    def fuse(self, embeddings: Tensor, present: Tensor) -> Tensor:
        return embeddings.sum(dim=0) + self.second(self.first.bias)

    @torch.no_grad()
    def scale_(self, factor: float) -> None:
        self.second.weight.mul_(factor)
        self.second.bias.mul_(factor)
