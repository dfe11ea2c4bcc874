"""InfoNCE: symmetric between two modalities (the ablation of CMSA), and in one direction against any candidates."""

from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F

from recbole_sda.layers.normalize import normalize_rows
from recbole_sda.losses.full_softmax import full_softmax_cross_entropy
from recbole_sda.losses.pair_loss import PairLoss, without_pairs


class InfoNCELoss(PairLoss):
    """Symmetric cross entropy between two modalities, with row k of the other modality as the positive of row k.

        L = X Y^T / tau        loss = (CE(L, k) + CE(L^T, k)) / 2

    with the mean over the rows of the batch. Computed in float32.

    Args:
        temperature: tau, > 0; the initial value if it is learned.
        learnable: whether tau is a parameter.
        normalize: whether each vector is divided by its L2 norm first.

    Relations:
        :class:`~recbole_sda.losses.cmsa.CMSALoss` with the identity matrix as its targets; the loss of CLIP, with tau in place
        of a learned logit scale. :func:`infonce_loss` is one direction.

    Example:
        >>> import torch
        >>> loss = InfoNCELoss(temperature=0.1)
        >>> round(loss(torch.ones(8, 4), torch.ones(8, 4)).item(), 4)  # all vectors equal: log 8
        2.0794
        >>> loss(torch.eye(4), torch.eye(4)).item() < 0.001  # each item is most similar to itself
        True
    """

    def __init__(self, temperature: float = 0.1, learnable: bool = True, normalize: bool = True):
        super().__init__(temperature, learnable, normalize)

    def forward(self, x: Tensor, y: Tensor, excluded: Optional[Tensor] = None) -> Tensor:
        """Return the loss of x and y (batch, dim) as a float32 scalar; exactly zero for fewer than two items.

        Pairs of different items in ``excluded``, (batch, batch), bool, symmetric, are no negatives.
        """
        if len(x) < 2:
            return (x.sum() + y.sum()) * 0.0
        with torch.autocast(device_type=x.device.type, enabled=False):
            logits = without_pairs(self.prepare(x) @ self.prepare(y).T / self.tau(), excluded)
            positives = torch.arange(len(x), device=x.device)
            return (F.cross_entropy(logits, positives) + F.cross_entropy(logits.T, positives)) / 2


def infonce_loss(
    x: Tensor, candidates: Tensor, temperature: float, positives: Optional[Tensor] = None, normalize: bool = True
) -> Tensor:
    """Return InfoNCE in one direction, a float32 scalar (the contrastive term of the multimodal graph models).

        loss = mean_k -log( exp(x_k . c_p / tau) / sum_j exp(x_k . c_j / tau) )        p = positives[k]

    Computed in blocks, see :func:`~recbole_sda.losses.full_softmax.full_softmax_cross_entropy`.

    Args:
        x: (batch, dim).
        candidates: the c_j, (n, dim).
        temperature: tau, > 0.
        positives: the row of ``candidates`` that is the positive of each row of x, (batch,), int64; None: the row of the same
            number.
        normalize: whether each vector is divided by its L2 norm first.

    Example:
        >>> import torch
        >>> round(infonce_loss(torch.ones(2, 4), torch.ones(8, 4), 0.1).item(), 4)  # all vectors equal: log 8
        2.0794
    """
    with torch.autocast(device_type=x.device.type, enabled=False):
        x, candidates = x.float(), candidates.float()
        if normalize:
            x, candidates = normalize_rows(x), normalize_rows(candidates)
        positives = torch.arange(len(x), device=x.device) if positives is None else positives
        return full_softmax_cross_entropy(x / temperature, candidates, positives)
