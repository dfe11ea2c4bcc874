"""InfoNCE in one direction: each row is to find its own among many (the multimodal graph models' contrastive terms)."""

from typing import Optional

import torch
from torch import Tensor

from recbole_sda.layers.normalize import normalize_rows
from recbole_sda.losses.full_softmax import full_softmax_cross_entropy


def contrast(
    x: Tensor, among: Tensor, temperature: float, right: Optional[Tensor] = None, normalize: bool = True
) -> Tensor:
    """Return the mean over rows of ``-log( exp(x_k . c_r / tau) / sum_j exp(x_k . c_j / tau) )`` with r = right[k], in float32.

    Computed in blocks (:func:`~recbole_sda.losses.full_softmax.full_softmax_cross_entropy`).

    Args:
        x: (batch, dim).
        among: the c_j, (n, dim).
        temperature: tau, > 0.
        right: which row of ``among`` belongs to each row of x, (batch,), int64; None: the row of the same number.
        normalize: whether rows are divided by their L2 norm first.
    """
    with torch.autocast(device_type=x.device.type, enabled=False):
        x, among = x.float(), among.float()
        if normalize:
            x, among = normalize_rows(x), normalize_rows(among)
        right = torch.arange(len(x), device=x.device) if right is None else right
        return full_softmax_cross_entropy(x / temperature, among, right)
