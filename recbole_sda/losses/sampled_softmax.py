"""Cross entropy against sampled items, with log-Q correction for the probability of being sampled."""

from typing import Optional, Tuple, Union

import torch
from torch import Tensor
from torch.nn import functional as F

from recbole_sda.losses.full_softmax import Excluded


class ItemSampler:
    """Samples items with replacement from a fixed distribution. A draw costs O(k log n_items).

    Args:
        n_items: number of items including the padding item 0, which is never sampled.
        k: number of items in a sample.
        counts: (n_items,), number of training targets of each item; probabilities are proportional to ``counts + 1``. None:
            uniform.
        left_out: ids of further items that are never sampled, (n,), int64.
    """

    def __init__(self, n_items: int, k: int, counts: Optional[Tensor] = None, left_out: Optional[Tensor] = None):
        weights = torch.ones(n_items, dtype=torch.float64) if counts is None else counts.double() + 1.0
        weights[0] = 0.0
        if left_out is not None:
            weights[left_out] = 0.0
        self.k, self.last = k, int(weights.nonzero()[-1])
        self.cumulative = weights.cumsum(0) / weights.sum()
        self._log_q = (weights / weights.sum()).log().float()

    def draw(self, device: Union[str, torch.device]) -> Tensor:
        """Return ``k`` item ids, (k,), int64, drawn with torch's global generator of the device."""
        self.cumulative, self._log_q = self.cumulative.to(device), self._log_q.to(device)
        points = torch.rand(self.k, dtype=torch.float64, device=device)
        return torch.searchsorted(self.cumulative, points, right=True).clamp_(max=self.last)

    def log_expected(self, items: Tensor) -> Tensor:
        """Return the logarithm of the expected number of each of ``items`` in a sample, ``log(k q)``, float32."""
        return self._log_q[items] + torch.log(torch.tensor(float(self.k)))


def sampled_cross_entropy(
    hidden: Tensor,
    positive: Tensor,
    sampled: Tensor,
    targets: Tensor,
    items: Tensor,
    log_expected: Tensor,
    excluded: Optional[Excluded] = None,
) -> Tensor:
    """Return the mean over rows of ``-log(exp(s_t) / (exp(s_t) + sum_j exp(s_j - log(k q_j))))``, a float32 scalar.

    The sum is over the sampled items except the target of the row. With the correction ``log(k q_j)``, its expectation is the sum
    over all other items of the catalogue (Bengio and Senecal 2008). All rows share one sample.

    Args:
        hidden: (n_rows, dim).
        positive: embeddings of the targets, (n_rows, dim).
        sampled: embeddings of the sampled items, (k, dim).
        targets: item ids of the targets, (n_rows,).
        items: item ids of the sampled items, (k,).
        log_expected: ``log(k q)`` of the sampled items, (k,), see :meth:`ItemSampler.log_expected`.
        excluded: pairs of rows and item ids to leave out of the sum.

    Returns:
        The loss; zero for no rows.
    """
    with torch.autocast(device_type=hidden.device.type, enabled=False):
        hidden, positive, sampled = hidden.float(), positive.float(), sampled.float()
        target_score = (hidden * positive).sum(dim=1, keepdim=True)
        scores = hidden @ sampled.T - log_expected
        left_out = targets.unsqueeze(1) == items
        if excluded is not None:
            left_out[_sampled_pairs(excluded, items)] = True
        scores = scores.masked_fill(left_out, -torch.inf)
        first = targets.new_zeros(len(targets))
        return F.cross_entropy(torch.cat([target_score, scores], dim=1), first, reduction="sum") / max(len(hidden), 1)


def _sampled_pairs(excluded: Excluded, items: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the excluded pairs whose item is in the sample, as rows and positions in ``items``, which may repeat an item."""
    ordered, order = items.sort()
    first = torch.searchsorted(ordered, excluded.items)
    count = torch.searchsorted(ordered, excluded.items, right=True) - first
    pair = torch.repeat_interleave(count)
    inside = torch.arange(len(pair), device=items.device) - (count.cumsum(0) - count)[pair]
    return excluded.rows[pair], order[first[pair] + inside]
