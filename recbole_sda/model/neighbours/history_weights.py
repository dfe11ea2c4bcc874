"""The weight of each item of a history, by how recent it is."""

import torch
from torch import Tensor


def history_weights(items: Tensor, length: Tensor, decay: float) -> Tensor:
    """Return ``decay^age`` of each place of each history, 0 for padding, (batch, seq_len).

    Args:
        items: item ids, oldest first, then 0, (batch, seq_len).
        length: number of items in each history, (batch,).
        decay: weight of an item relative to the next one. The age of the last item is 0.

    Example:
        >>> history_weights(torch.tensor([[2, 1, 0]]), torch.tensor([2]), 0.5).tolist()
        [[0.5, 1.0, 0.0]]
    """
    age = length.unsqueeze(1) - 1 - torch.arange(items.shape[1], device=items.device)
    return torch.where((age >= 0) & (items > 0), decay ** age.clamp(min=0).float(), 0.0)
