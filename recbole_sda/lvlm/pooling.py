"""Pooling of the last hidden states of a sequence into one vector, and reduction of vectors to fewer values."""

from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F


def pool(
    states: Tensor, mask: Tensor, how: str, input_ids: Optional[Tensor] = None, eos: Optional[int] = None
) -> Tensor:
    """Return one vector per sequence, (batch, dim), float32.

    Args:
        states: hidden states, (batch, seq_len, dim).
        mask: (batch, seq_len), bool; True at the positions to pool: all tokens, or those of the image.
        how: ``mean`` (or ``image``): mean over the masked positions. ``last``: the last masked position. ``cls``: the
            first masked position. ``eos``: the last end-of-sequence token among the masked positions, or the last masked position
            where there is none.
        input_ids: token ids, (batch, seq_len); needed for ``eos``.
        eos: id of the end-of-sequence token.

    Example:
        >>> states = torch.tensor([[[1.0], [3.0], [9.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pool(states, mask, "mean"), pool(states, mask, "last")
        (tensor([[2.]]), tensor([[3.]]))
    """
    if how in ("mean", "image"):
        weight = mask.unsqueeze(-1).float()
        return (states.float() * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
    if how == "cls":
        return states[torch.arange(len(states), device=states.device), mask.int().argmax(dim=1)].float()
    candidates = mask
    if how == "eos" and input_ids is not None and eos is not None:
        is_eos = mask & (input_ids == eos)
        candidates = torch.where(is_eos.any(dim=1, keepdim=True), is_eos, mask)
    position = torch.arange(mask.shape[1], device=mask.device)
    last = (candidates * position).argmax(dim=1)
    return states[torch.arange(len(states), device=states.device), last].float()


def truncate(vectors: Tensor, dim: Optional[int], l2: bool) -> Tensor:
    """Return the first ``dim`` values of each vector (n, d), all of them for None; with ``l2``, divided by their norm."""
    leading = vectors if dim is None else vectors[:, :dim]
    return F.normalize(leading, dim=-1) if l2 else leading


def block_average(vectors: Tensor, dim: Optional[int]) -> Tensor:
    """Return vectors (n, d) averaged in blocks to (n, dim); None keeps all values.

    The loss of the reference implementation sees its vectors in this form.
    """
    if dim is None or dim == vectors.shape[1]:
        return vectors
    return F.adaptive_avg_pool1d(vectors.unsqueeze(1), dim).squeeze(1)
