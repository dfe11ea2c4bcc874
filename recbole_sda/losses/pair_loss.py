"""What the losses between two modalities have in common: a temperature and normalisation, in float32."""

from typing import Optional

import torch
from torch import Tensor, nn

from recbole_sda.layers.normalize import normalize_rows

MIN_TEMPERATURE = 0.01  # lower limit of a learned temperature, as CLIP limits its logit scale to 100


class PairLoss(nn.Module):
    """Base class of the losses between two modalities x and y of the same items, each (batch, dim).

    Args:
        temperature: tau, > 0; the initial value if it is learned. A value below :data:`MIN_TEMPERATURE` is raised to it.
        learnable: whether tau is a parameter.
        normalize: whether each vector is divided by its L2 norm first.

    Attributes:
        target_entropy: mean entropy of the soft targets in the last batch of at least two items, in nats, detached; None for a
            loss without soft targets.
    """

    temperature: Tensor

    def __init__(self, temperature: float, learnable: bool, normalize: bool):
        super().__init__()
        value = torch.tensor(float(temperature))
        if learnable:
            self.temperature = nn.Parameter(value)
        else:
            self.register_buffer("temperature", value)
        self.normalize = normalize
        self.target_entropy: Optional[Tensor] = None

    def tau(self) -> Tensor:
        """Return the temperature in float32. A value below the limit is first raised in place, so that it can grow again."""
        self.temperature.data.clamp_(min=MIN_TEMPERATURE)
        return self.temperature.float()

    def prepare(self, x: Tensor) -> Tensor:
        """Return x (batch, dim) in float32, with rows of unit norm if the loss normalises."""
        return normalize_rows(x.float()) if self.normalize else x.float()


def without_pairs(logits: Tensor, excluded: Optional[Tensor]) -> Tensor:
    """Return logits (batch, batch) in which the excluded pairs have no probability; the diagonal always keeps its own.

    The value is finite, so that a product with a target of zero is zero.

    Example:
        >>> excluded = torch.tensor([[True, True], [True, True]])
        >>> without_pairs(torch.zeros(2, 2), excluded).softmax(dim=1)
        tensor([[1., 0.],
                [0., 1.]])
    """
    if excluded is None:
        return logits
    diagonal = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    return logits.masked_fill(excluded & ~diagonal, torch.finfo(logits.dtype).min / 2)
