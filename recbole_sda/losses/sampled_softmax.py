"""Cross entropy against a sample of the catalogue, corrected for how the sample was drawn."""

from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F


class ItemSampler:
    """Draws items with replacement, each with a known probability, at a cost that does not grow with the catalogue.

    Args:
        n_items: number of items with the padding item 0, which is never drawn.
        k: items of a draw.
        counts: (n_items,), training targets of each item, for draws in proportion to ``counts + 1``; None draws all
            items alike.
    """

    def __init__(self, n_items: int, k: int, counts: Optional[Tensor] = None):
        weights = torch.ones(n_items, dtype=torch.float64) if counts is None else counts.double() + 1.0
        weights[0] = 0.0
        self.k, self.n_items = k, n_items
        self.cumulative = weights.cumsum(0) / weights.sum()
        self._log_q = (weights / weights.sum()).log().float()

    def draw(self, device) -> Tensor:
        """Return ``k`` item ids, (k,), int64, from torch's random stream of the device."""
        self.cumulative, self._log_q = self.cumulative.to(device), self._log_q.to(device)
        points = torch.rand(self.k, dtype=torch.float64, device=device)
        return torch.searchsorted(self.cumulative, points, right=True).clamp_(max=self.n_items - 1)

    def log_expected(self, items: Tensor) -> Tensor:
        """Return the logarithm of how often each of ``items`` is expected in a draw, ``log(k q)``, float32."""
        return self._log_q[items] + torch.log(torch.tensor(float(self.k)))


def sampled_cross_entropy(
    hidden: Tensor, wanted: Tensor, drawn: Tensor, targets: Tensor, items: Tensor, log_expected: Tensor
) -> Tensor:
    """Return the mean over rows of ``-log(exp(s_t) / (exp(s_t) + sum_j exp(s_j - log(k q_j))))``, a float32 scalar.

    The sum goes over the drawn items but the row's target; each counts as often as it stands for others, so that the
    sum's expectation is the sum over the whole catalogue (Bengio and Senecal 2008). All rows share one draw.

    Args:
        hidden: (n_rows, dim).
        wanted: embeddings of the rows' targets, (n_rows, dim).
        drawn: embeddings of the drawn items, (k, dim).
        targets: item ids, (n_rows,).
        items: item ids that were drawn, (k,).
        log_expected: ``log(k q)`` of the drawn items, (k,).
    """
    with torch.autocast(device_type=hidden.device.type, enabled=False):
        hidden, wanted, drawn = hidden.float(), wanted.float(), drawn.float()
        right = (hidden * wanted).sum(dim=1, keepdim=True)
        others = hidden @ drawn.T - log_expected
        others = others.masked_fill(targets.unsqueeze(1) == items, -torch.inf)
        nothing = targets.new_zeros(len(targets))
        return F.cross_entropy(torch.cat([right, others], dim=1), nothing, reduction="sum") / max(len(hidden), 1)
