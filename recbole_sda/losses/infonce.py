"""InfoNCE between two sides of the same items, one positive each (the ablation of CMSA)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.layers.normalize import normalize_rows
from recbole_sda.losses.cmsa import kept_above


class InfoNCELoss(nn.Module):
    """Symmetric cross entropy that tells row k of one side from the rest by row k of the other.

        L = X Y^T / tau        loss = (CE(L, k) + CE(L^T, k)) / 2

    with the mean over the rows of the batch. Computed in float32.

    Args:
        temperature: tau, > 0; where it starts if it is learned.
        learnable: whether tau is a parameter.
        normalize: whether rows are divided by their L2 norm first.

    Relations:
        CMSA with the identity as its target; CLIP's loss with tau in place of a learned logit scale.
    """

    def __init__(self, temperature: float = 0.1, learnable: bool = True, normalize: bool = True):
        super().__init__()
        value = torch.tensor(float(temperature))
        if learnable:
            self.temperature = nn.Parameter(value)
        else:
            self.register_buffer("temperature", value)
        self.normalize = normalize
        self.target_entropy = None  # CMSA's figure: the identity has none

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss, a float32 scalar, of x and y (batch, dim); zero for fewer than two rows."""
        if len(x) < 2:
            return (x.sum() + y.sum()) * 0.0
        with torch.autocast(device_type=x.device.type, enabled=False):
            x, y = x.float(), y.float()
            if self.normalize:
                x, y = normalize_rows(x), normalize_rows(y)
            logits = x @ y.T / kept_above(self.temperature)
            right = torch.arange(len(x), device=x.device)
            return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
