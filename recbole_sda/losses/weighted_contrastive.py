"""Contrastive loss within a batch whose soft positives are given by weights between the items."""

import torch
from torch import Tensor

from recbole_sda.layers.normalize import normalize_rows


def weighted_contrastive_loss(vectors: Tensor, weights: Tensor, temperature: float = 0.1) -> Tensor:
    """Return the mean cross entropy between the similarities of items and given weights, a float32 scalar.

        loss = - mean_i sum_{j != i} p_ij log softmax_{j != i}(z_i . z_j / tau)_j        p_ij = w_ij / sum_j w_ij

    with unit-norm rows z. The mean is over the items i that have a positive weight to another item of the batch; the loss is zero
    if there are none.

    Args:
        vectors: (batch, dim).
        weights: (batch, batch), >= 0, symmetric; the diagonal is ignored.
        temperature: tau, > 0.

    Example:
        >>> import torch
        >>> weights = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])  # items 0 and 1 belong together
        >>> round(weighted_contrastive_loss(torch.ones(3, 4), weights).item(), 4)  # all vectors equal: log 2
        0.6931
    """
    with torch.autocast(device_type=vectors.device.type, enabled=False):
        z = normalize_rows(vectors)
        diagonal = torch.eye(len(z), dtype=torch.bool, device=z.device)
        weights = weights.float().masked_fill(diagonal, 0.0)
        total = weights.sum(dim=1, keepdim=True)
        log_p = (z @ z.T / temperature).masked_fill(diagonal, -torch.inf).log_softmax(dim=1).masked_fill(diagonal, 0.0)
        rows = -(weights / total.clamp(min=1e-12) * log_p).sum(dim=1)
        has_positive = total.squeeze(1) > 0
        return (rows * has_positive).sum() / has_positive.sum().clamp(min=1)
