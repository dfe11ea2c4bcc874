"""Items that belong together by a given weight, as soft positives of each other."""

import torch
from torch import Tensor

from recbole_sda.layers.normalize import normalize_rows


def weighted_contrastive_loss(vectors: Tensor, weights: Tensor, temperature: float = 0.1) -> Tensor:
    """Return the mean cross entropy between who an item resembles and who it belongs with, a float32 scalar.

        loss = - mean_i sum_{j != i} p_ij log softmax_{j != i}(z_i . z_j / tau)_j        p_ij = w_ij / sum_j w_ij

    over the items i that belong with another one of the batch; zero where none does. z are unit-norm rows.

    Args:
        vectors: (batch, dim).
        weights: (batch, batch), >= 0, symmetric; the diagonal is ignored.
        temperature: tau, > 0.
    """
    with torch.autocast(device_type=vectors.device.type, enabled=False):
        z = normalize_rows(vectors)
        own = torch.eye(len(z), dtype=torch.bool, device=z.device)
        weights = weights.float().masked_fill(own, 0.0)
        total = weights.sum(dim=1, keepdim=True)
        log_p = (z @ z.T / temperature).masked_fill(own, -torch.inf).log_softmax(dim=1).masked_fill(own, 0.0)
        rows = -(weights / total.clamp(min=1e-12) * log_p).sum(dim=1)
        has = total.squeeze(1) > 0
        return (rows * has).sum() / has.sum().clamp(min=1)
