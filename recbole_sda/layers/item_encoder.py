"""Item encoders: from the modality features of an item to its embedding.

An encoder has two stages, so that a loss can use the modality embeddings before fusion: ``project(features, present)`` returns one
embedding per modality, ``fuse(embeddings, present)`` the item embedding. ``features`` is a list of one matrix (n_items, d_m) per
modality, ``present`` is (n_modalities, n_items), bool.
"""

from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.layers.fusion import FUSIONS
from recbole_sda.layers.low_rank import ModalityExperts


class ItemEncoder(nn.Module):
    """Base class of the encoders: dropout of features and modalities, and the learned embedding of a missing modality.

    Subclasses define ``_map``, :meth:`fuse` and :meth:`scale_`.

    Args:
        dims: width of each modality's features.
        out_dim: width of the item embedding.
        feature_dropout: probability of dropping an input feature in training, in [0, 1).
        modality_dropout: probability of leaving a modality of an item out of the fusion in a training step, in [0, 1). At least
            one modality of an item is always used.
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
        """Return the modality embeddings of :meth:`project`, and the item embeddings, (n_items, out_dim).

        Modality dropout acts on the fusion only: the returned modality embeddings, which a loss uses, are complete.
        """
        modalities, used = self.project(features, present), self.drop_modalities(present)
        fused = modalities
        if used is not present:
            fused = torch.where(used.unsqueeze(-1), modalities, self.missing_embedding.unsqueeze(1))
        return modalities, self.fuse(fused, used)

    def drop_modalities(self, present: Tensor) -> Tensor:
        """Return which modalities of each item the fusion uses, (n_modalities, n_items): ``present`` after modality dropout."""
        if not self.training or self.modality_dropout == 0 or len(self.dims) < 2:
            return present
        drawn = torch.rand(present.shape, device=present.device)
        used = present & (drawn >= self.modality_dropout)
        best = drawn.masked_fill(~present, -1.0).argmax(dim=0)
        return used | (present & (torch.arange(len(present), device=best.device).unsqueeze(1) == best))

    def _map(self, x: Tensor, modality: int) -> Tensor:
        """Map the features x (n_items, d_m) of one modality to (n_items, out_dim)."""
        raise NotImplementedError

    def project(self, features: Sequence[Tensor], present: Tensor) -> Tensor:
        """Return the modality embeddings, (n_modalities, n_items, out_dim); a missing one is ``missing_embedding[m]``."""
        mapped = [
            torch.where(present[m].unsqueeze(-1), self._map(self.feature_dropout(x), m), self.missing_embedding[m])
            for m, x in enumerate(features)
        ]
        return torch.stack(mapped)

    def fuse(self, embeddings: Tensor, present: Tensor) -> Tensor:
        """Return the item embeddings, (n_items, out_dim), of modality embeddings (n_modalities, n_items, out_dim)."""
        raise NotImplementedError

    def scale_(self, factor: float) -> None:
        """Multiply the output of a freshly initialised encoder by ``factor``, in place."""
        raise NotImplementedError

    def matrices(self) -> List[nn.Parameter]:
        """Return the weight matrices. A step of Adam changes their product with the features by many times the step's size."""
        return [p for p in self.parameters() if p.dim() == 2]

    def gates(self) -> Optional[Tensor]:
        """Return the mixture weights of the experts, (n_modalities, n_experts), or None for an encoder without experts."""
        return None


class MoDAItemEncoder(ItemEncoder):
    """One linear map shared by all modalities plus modality-gated low-rank experts, then fusion (arXiv 2512.06883, MoDA).

        z_m = W x_m + b + (alpha / rank) * sum_e g[m, e] * B_e A_e x_m

    Without dropout in the low-rank maps, the full map of each modality, ``W + delta_m``, is formed once per call. It is small
    compared with the features of all items. A modality narrower than the widest one uses the leading columns of W and A.

    Args:
        dims: width of each modality's features.
        out_dim: width of the item embedding.
        rank: total rank of the experts; 0 leaves the experts out (the shared map only).
        n_experts: number of experts, see :class:`~recbole_sda.layers.low_rank.ModalityExperts`.
        alpha: scale of their output, divided by ``rank``.
        dropout: probability of dropping an input of the experts in training.
        fusion: ``mean``, ``concat`` or ``gated``, see :mod:`recbole_sda.layers.fusion`.
        feature_dropout: see :class:`ItemEncoder`.
        modality_dropout: see :class:`ItemEncoder`.

    Raises:
        ValueError: ``rank`` is neither 0 nor a positive multiple of ``n_experts``, or ``fusion`` is not one of the three names.

    Note:
        The paper trains MoDA inside the vision-language model. Its use in the item encoder of a recommender is this project's.

    Example:
        >>> import torch
        >>> encoder = MoDAItemEncoder(dims=[16, 8], out_dim=4)
        >>> features = [torch.randn(5, 16), torch.randn(5, 8)]  # image and text features of five items
        >>> present = torch.tensor([[True] * 5, [True, True, True, True, False]])  # the last item has no text
        >>> modalities, items = encoder(features, present)
        >>> modalities.shape, items.shape
        (torch.Size([2, 5, 4]), torch.Size([5, 4]))
        >>> torch.equal(items[4], modalities[0, 4])  # the mean over the modalities that the item has
        True
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
        if fusion not in FUSIONS:
            raise ValueError(f"fusion={fusion!r}: allowed are {', '.join(FUSIONS)}")
        self.shared = nn.Linear(max(dims), out_dim)
        nn.init.normal_(self.shared.weight, std=max(dims) ** -0.5)
        nn.init.zeros_(self.shared.bias)
        self.experts: Optional[ModalityExperts] = None
        if rank:
            self.experts = ModalityExperts(max(dims), out_dim, len(self.dims), n_experts, rank, alpha, dropout)
        self.fusion = FUSIONS[fusion](len(self.dims), out_dim)

    @torch.no_grad()
    def start_as_identity(self) -> None:
        """Set the shared map to the identity. Where it narrows, set orthonormal rows, which keep lengths and angles on average."""
        square = self.shared.out_features == max(self.dims)
        (nn.init.eye_ if square else nn.init.orthogonal_)(self.shared.weight)

    def _map(self, x: Tensor, modality: int) -> Tensor:
        weight, bias, width = self.shared.weight, self.shared.bias, x.shape[-1]
        if self.experts is None:
            return F.linear(x, weight[:, :width], bias)
        if self.training and self.experts.dropout.p > 0:
            return F.linear(x, weight[:, :width], bias) + self.experts(x, modality)
        return F.linear(x, (weight + self.experts.delta_weight(modality))[:, :width], bias)

    def fuse(self, embeddings: Tensor, present: Tensor) -> Tensor:
        return self.fusion(embeddings, present)

    @torch.no_grad()
    def scale_(self, factor: float) -> None:
        self.shared.weight.mul_(factor)

    def gates(self) -> Optional[Tensor]:
        return None if self.experts is None else self.experts.gate()


class LinearItemEncoder(ItemEncoder):
    """The item encoder of the paper's reference code: concatenation, Linear(sum of dims, hidden), Linear(hidden, out).

    Both maps are linear, so the result is a sum of one term per modality. ``project`` returns these terms, and ``fuse`` adds the
    biases. A missing modality adds its learned embedding.

    Args:
        dims: width of each modality's features.
        out_dim: width of the item embedding.
        hidden_size: width between the two maps.
        feature_dropout: see :class:`ItemEncoder`.
        modality_dropout: see :class:`ItemEncoder`.

    Example:
        >>> import torch
        >>> encoder = LinearItemEncoder(dims=[16, 8], out_dim=4, hidden_size=32)
        >>> features = [torch.randn(5, 16), torch.randn(5, 8)]
        >>> _, items = encoder(features, torch.ones(2, 5, dtype=torch.bool))
        >>> expected = encoder.second(encoder.first(torch.cat(features, dim=1)))
        >>> torch.allclose(items, expected, atol=1e-5)
        True
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
