"""InfoNCE in one direction: row k of one view against all rows of another (the multimodal graph models' contrastive term)."""

from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F


def contrast(
    x: Tensor, y: Tensor, temperature: float, among: Optional[Tensor] = None, normalize: bool = True
) -> Tensor:
    """Return ``-log( exp(x_k . y_k / tau) / sum_j exp(x_k . c_j / tau) )`` of each row k, (batch,), float32.

    Args:
        x, y: two views of the same nodes, (batch, dim).
        temperature: tau, > 0.
        among: the c_j, (n, dim); None: the rows of y. They need not hold y_k.
        normalize: whether rows are divided by their L2 norm first.
    """
    with torch.autocast(device_type=x.device.type, enabled=False):
        x, y, among = x.float(), y.float(), None if among is None else among.float()
        if normalize:
            x, y, among = F.normalize(x), F.normalize(y), None if among is None else F.normalize(among)
        right = (x * y).sum(dim=1) / temperature
        return (x @ (y if among is None else among).T / temperature).logsumexp(dim=1) - right
