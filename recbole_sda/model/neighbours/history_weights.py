"""The weight of each item of a history, by how recent it is."""

import torch
from torch import Tensor


def history_weights(items: Tensor, length: Tensor, decay: float, n_items: int) -> Tensor:
    """Return ``decay^age`` of every item in each history, added up where an item occurs twice, (batch, n_items).

    Args:
        items: item ids, oldest first, then 0, (batch, seq_len).
        length: number of items in each history, (batch,).
        decay: weight of an item relative to the next one. The age of the last item is 0.
        n_items: number of items including the padding item 0, whose weight is 0.

    Example:
        >>> history_weights(torch.tensor([[2, 1, 0]]), torch.tensor([2]), 0.5, 3).tolist()
        [[0.0, 1.0, 0.5]]
    """
    age = length.unsqueeze(1) - 1 - torch.arange(items.shape[1], device=items.device)
    weight = torch.where(age >= 0, decay ** age.clamp(min=0).float(), 0.0)
    weights = torch.zeros(len(items), n_items, device=items.device)
    weights.scatter_add_(1, items, weight)
    weights[:, 0] = 0
    return weights
