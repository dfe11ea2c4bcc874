"""Low-rank experts mixed by a gate that depends on the modality only (arXiv 2512.06883, MoDA)."""

from typing import Optional, Union

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def gate_weights(embedding: Tensor, projection: Tensor, modality: Optional[Union[int, Tensor]] = None) -> Tensor:
    """Return the mixture weights of the experts, ``softmax(W_g emb[m])``.

    Args:
        embedding: modality embeddings ``emb``, (n_modalities, dim).
        projection: ``W_g``, (n_experts, dim).
        modality: one modality m, several as an int64 tensor (n,), or None for all.

    Returns:
        (n_experts,) for one modality, (n, n_experts) for several, (n_modalities, n_experts) for all. The weights of a modality
        sum to one.
    """
    rows = embedding if modality is None else embedding[modality]
    return F.linear(rows, projection).softmax(dim=-1)


class ModalityGate(nn.Module):
    """Mixture weights of the experts for each modality, ``g[m] = softmax(W_g emb[m])`` (arXiv 2512.06883, MoDA).

    Args:
        n_modalities: number of modalities.
        n_experts: number of experts E.
        dim: width of the learned modality embedding ``emb``.

    Example:
        >>> import torch
        >>> gate = ModalityGate(n_modalities=2, n_experts=4)
        >>> gate().shape
        torch.Size([2, 4])
        >>> bool(torch.isclose(gate(0).sum(), torch.tensor(1.0)))
        True
    """

    def __init__(self, n_modalities: int, n_experts: int, dim: int = 64):
        super().__init__()
        self.embedding = nn.Embedding(n_modalities, dim)
        self.projection = nn.Linear(dim, n_experts, bias=False)

    def forward(self, modality: Optional[Union[int, Tensor]] = None) -> Tensor:
        """Return the weights of one modality, of several, or of all for None; shapes as in :func:`gate_weights`."""
        return gate_weights(self.embedding.weight, self.projection.weight, modality)


class ModalityExperts(nn.Module):
    """Sum of E low-rank maps, mixed with weights that depend on the modality m of the input (arXiv 2512.06883, MoDA).

        f(x, m) = (alpha / rank) * sum_e g[m, e] * B_e A_e x        A_e: (rank/E, in), B_e: (out, rank/E)

    The gate g does not depend on x. The sum therefore equals ``B diag(repeat(g[m], rank/E)) A`` with the experts stacked in
    A (rank, in) and B (out, rank), and costs as much as one LoRA of the same rank. A starts as N(0, 0.01^2) and B as zero,
    so the layer starts as the zero map.

    Args:
        in_features: width of the input; an input of smaller width d uses the first d columns of A.
        out_features: width of the output.
        n_modalities: number of modalities.
        n_experts: number of experts E; must divide ``rank``.
        rank: total rank of all experts.
        alpha: scale; the output is multiplied by ``alpha / rank``.
        dropout: probability of dropping an input feature of the low-rank maps in training, in [0, 1).

    Raises:
        ValueError: ``rank`` is not a positive multiple of ``n_experts``.

    Example:
        >>> import torch
        >>> experts = ModalityExperts(in_features=16, out_features=6, n_modalities=2, n_experts=4, rank=8)
        >>> y = experts(torch.randn(3, 16), modality=1)
        >>> y.shape, bool(y.any())  # B is zero at the start
        (torch.Size([3, 6]), False)
        >>> experts.delta_weight(modality=1).shape
        torch.Size([6, 16])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_modalities: int,
        n_experts: int = 4,
        rank: int = 8,
        alpha: float = 32.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        if rank <= 0 or n_experts <= 0 or rank % n_experts:
            raise ValueError(f"rank={rank}: must be a positive multiple of n_experts={n_experts}")
        self.scaling = alpha / rank
        self.expert_rank = rank // n_experts
        self.gate = ModalityGate(n_modalities, n_experts)
        self.lora_A = nn.Parameter(torch.empty(rank, in_features).normal_(std=0.01))
        self.lora_B = nn.Parameter(torch.zeros(out_features, rank))
        self.dropout = nn.Dropout(dropout)

    def rank_weights(self, modality: int) -> Tensor:
        """Return ``alpha / rank`` times the gate of each rank-one component for one modality, (rank,)."""
        return self.scaling * self.gate(modality).repeat_interleave(self.expert_rank)

    def delta_weight(self, modality: int) -> Tensor:
        """Return the low-rank map of one modality as a matrix, (out, in), without dropout."""
        return (self.lora_B * self.rank_weights(modality)) @ self.lora_A

    def forward(self, x: Tensor, modality: int) -> Tensor:
        """Map x (..., d) with d <= in_features to (..., out)."""
        hidden = F.linear(self.dropout(x), self.lora_A[:, : x.shape[-1]])
        return F.linear(hidden * self.rank_weights(modality), self.lora_B)
