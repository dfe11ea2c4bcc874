"""Low-rank experts mixed by a gate that looks at the modality alone (MoDA, arXiv 2512.06883)."""

from typing import Optional, Union

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def mixture(embedding: Tensor, projection: Tensor, modality: Optional[Union[int, Tensor]] = None) -> Tensor:
    """Return ``softmax(W_g emb[m])`` of one modality (n_experts,), of several (n, n_experts), or of all for None."""
    rows = embedding if modality is None else embedding[modality]
    return F.linear(rows, projection).softmax(dim=-1)


class ModalityGate(nn.Module):
    """Mixture weights of the experts for each modality, ``g[m] = softmax(W_g emb[m])``.

    Args:
        n_modalities: number of modalities.
        n_experts: number of experts E.
        dim: width of the learned modality embedding ``emb``.
    """

    def __init__(self, n_modalities: int, n_experts: int, dim: int = 64):
        super().__init__()
        self.embedding = nn.Embedding(n_modalities, dim)
        self.projection = nn.Linear(dim, n_experts, bias=False)

    def forward(self) -> Tensor:
        """Return the gates of all modalities, (n_modalities, n_experts); every row sums to one."""
        return self.of(None)

    def of(self, modality: Optional[Union[int, Tensor]]) -> Tensor:
        """Return the gates of one modality (n_experts,), of several (n, n_experts), or of all for None."""
        return mixture(self.embedding.weight, self.projection.weight, modality)


class ModalityExperts(nn.Module):
    """Sum of E low-rank maps whose mixture depends on the modality m of the input.

        f(x, m) = (alpha / rank) * sum_e g[m, e] * B_e A_e x        A_e: (rank/E, in), B_e: (out, rank/E)

    The gate does not depend on x, so the sum equals ``B diag(repeat(g[m], rank/E)) A`` with the experts stacked in
    A (rank, in) and B (out, rank): the cost of one LoRA of the same rank. A starts as N(0, 0.01^2) and B as zero, so
    that the layer starts as the zero map.

    Args:
        in_features: width of the input; a narrower input of width d uses the first d columns of A.
        out_features: width of the output.
        n_modalities: number of modalities.
        n_experts: number of experts E; divides ``rank``.
        rank: total rank over all experts.
        alpha: scale; the output is multiplied by ``alpha / rank``.
        dropout: probability of dropping an input feature on the low-rank path while training, in [0, 1).

    Raises:
        ValueError: ``rank`` is not a positive multiple of ``n_experts``.
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
            raise ValueError(f"rank must be a positive multiple of the number of experts, got {rank} and {n_experts}")
        self.scaling = alpha / rank
        self.expert_rank = rank // n_experts
        self.gate = ModalityGate(n_modalities, n_experts)
        self.lora_A = nn.Parameter(torch.empty(rank, in_features).normal_(std=0.01))
        self.lora_B = nn.Parameter(torch.zeros(out_features, rank))
        self.dropout = nn.Dropout(dropout)

    def rank_weights(self, modality: int) -> Tensor:
        """Return the gate of each rank-one component for one modality, (rank,), times ``alpha / rank``."""
        return self.scaling * self.gate.of(modality).repeat_interleave(self.expert_rank)

    def delta_weight(self, modality: int) -> Tensor:
        """Return the whole low-rank map of one modality as a matrix, (out, in); dropout is not applied."""
        return (self.lora_B * self.rank_weights(modality)) @ self.lora_A

    def forward(self, x: Tensor, modality: int) -> Tensor:
        """Map x (..., d) with d <= in_features to (..., out)."""
        hidden = F.linear(self.dropout(x), self.lora_A[:, : x.shape[-1]])
        return F.linear(hidden * self.rank_weights(modality), self.lora_B)
