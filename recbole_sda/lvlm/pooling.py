"""From the last hidden states of a sequence to one vector."""

from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F


def pool(
    states: Tensor, mask: Tensor, how: str, input_ids: Optional[Tensor] = None, eos: Optional[int] = None
) -> Tensor:
    """Return one vector per sequence, (batch, dim), float32.

    Args:
        states: (batch, seq_len, dim).
        mask: (batch, seq_len), bool; True at the positions that count: all tokens, or those of the picture.
        how: ``mean`` of the masked positions, ``last`` of them, or ``eos``: the last end-of-sequence token among them
            (the last position where there is none).
        input_ids: (batch, seq_len), with ``eos``.
        eos: the end-of-sequence token.
    """
    if how in ("mean", "image"):
        weight = mask.unsqueeze(-1).float()
        return (states.float() * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
    wanted = mask
    if how == "eos" and input_ids is not None and eos is not None:
        found = mask & (input_ids == eos)
        wanted = torch.where(found.any(dim=1, keepdim=True), found, mask)
    position = torch.arange(mask.shape[1], device=mask.device)
    last = (wanted * position).argmax(dim=1)
    return states[torch.arange(len(states), device=states.device), last].float()


def shorten(vectors: Tensor, truncate_dim: Optional[int], l2: bool) -> Tensor:
    """Return the leading ``truncate_dim`` values of vectors (n, dim), divided by their norm with ``l2``."""
    kept = vectors if truncate_dim is None else vectors[:, :truncate_dim]
    return F.normalize(kept, dim=-1) if l2 else kept


def block_average(vectors: Tensor, dim: Optional[int]) -> Tensor:
    """Return vectors (n, d) averaged in blocks to (n, dim), as the reference's loss sees them; None keeps all values."""
    if dim is None or dim == vectors.shape[1]:
        return vectors
    return F.adaptive_avg_pool1d(vectors.unsqueeze(1), dim).squeeze(1)
