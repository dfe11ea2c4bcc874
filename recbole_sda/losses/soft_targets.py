"""Soft targets for a recommender: part of each target's probability goes to the items most similar to it in content."""

from typing import Callable, Optional, Tuple

import torch
from torch import Tensor, nn

from recbole_sda.losses.full_softmax import Excluded


class SoftTargets(nn.Module):
    r"""The structural teacher of CMSA, applied to the recommender's own softmax.

    The target distribution of a training target t is ``(1 - w) one_hot(t) + w T_t``, with T_t a distribution over the items nearest
    to t in content. Cross entropy with this target equals that with ``one_hot(t)`` plus

        w * h . (e_t - sum_j T_tj e_j)

    with h the output and e the item embeddings: no further scores of the catalogue are needed.

    A model whose loss is not a softmax over outputs gets the same expectation by drawing its targets from the distribution
    (:meth:`draw_targets`).

    Soft labels from similarities of item texts: SimRec (RecSys 2024). Here the similarities are those of CMSA's teacher
    (arXiv 2512.06883): the mean over the modalities.

    Args:
        neighbours: items similar to each item, (n_items, k), int64; 0 where there is none.
        probabilities: T, (n_items, k), float32; a row sums to one, or to zero for an item without neighbours.
        weight: w of each item as target, (n_items,), in [0, 1).

    Attributes:
        factor: multiplies all weights; a schedule may change it from epoch to epoch.

    Example:
        >>> teacher = SoftTargets(torch.tensor([[0], [2], [1]]), torch.tensor([[0.0], [1.0], [1.0]]), torch.full((3,), 0.1))
        >>> hidden, table, targets = torch.randn(4, 8), torch.randn(3, 8), torch.tensor([1, 2, 1, 1])
        >>> logits = (hidden @ table.T).log_softmax(dim=1)
        >>> one_hot = torch.nn.functional.one_hot(targets, 3).float()
        >>> soft = 0.9 * one_hot + 0.1 * one_hot[:, [0, 2, 1]]
        >>> expected = -(soft * logits).sum(dim=1).mean()
        >>> loss = torch.nn.functional.cross_entropy(hidden @ table.T, targets)
        >>> torch.allclose(loss + teacher(hidden, targets, table.__getitem__), expected)
        True
    """

    neighbours: Tensor
    probabilities: Tensor
    weight: Tensor

    def __init__(self, neighbours: Tensor, probabilities: Tensor, weight: Tensor):
        super().__init__()
        self.factor = 1.0
        self.register_buffer("neighbours", neighbours, persistent=False)
        self.register_buffer("probabilities", probabilities, persistent=False)
        self.register_buffer("weight", weight * (probabilities.sum(dim=1) > 0), persistent=False)
        self._drawn = torch.empty(0, dtype=torch.int64)  # one neighbour of each item of the last draw()

    def draw(self, items: Tensor) -> Tensor:
        """Draw one neighbour of each distinct item of ``items`` (...) from T; return the neighbours, (n,), in any order.

        Until the next call, :meth:`forward` with ``drawn`` uses them in place of all neighbours: an unbiased estimate that needs
        the embedding of one more item per target. An item without neighbours draws itself.
        """
        items = items.unique()
        if len(self._drawn) != len(self.neighbours) or self._drawn.device != items.device:
            self._drawn = torch.zeros(len(self.neighbours), dtype=torch.int64, device=items.device)
        self._drawn[items] = self._draw(items)
        return self._drawn[items]

    def _draw(self, items: Tensor) -> Tensor:
        cumulative = self.probabilities[items].cumsum(dim=1)
        point = torch.rand(len(items), 1, device=items.device) * cumulative[:, -1:]
        column = (cumulative <= point).sum(dim=1, keepdim=True).clamp_(max=cumulative.shape[1] - 1)
        return torch.where(self.weight[items] > 0, self.neighbours[items].gather(1, column).squeeze(1), items)

    def draw_targets(self, items: Tensor) -> Tensor:
        """Return targets (...) drawn from their target distributions: an item, or with probability w one of its neighbours.

        Item 0, padding, stays.
        """
        flat = items.flatten()
        replaced = torch.rand(len(flat), device=flat.device) < self.factor * self.weight[flat]
        flat = torch.where(replaced, self._draw(flat), flat)
        return flat.view_as(items)

    def forward(
        self,
        hidden: Tensor,
        targets: Tensor,
        rows: Callable[[Tensor], Tensor],
        excluded: Optional[Excluded] = None,
        drawn: bool = False,
    ) -> Tensor:
        """Return the mean over the targets of ``w * sum_j T_tj (s_t - s_j)``, with s the scores: what soft targets add to the loss.

        Args:
            hidden: outputs, (n_targets, dim).
            targets: (n_targets,).
            rows: returns the embeddings of item ids (n,), (n, dim).
            excluded: pairs of a row and an item that the softmax leaves out; the item itself gets their probability.
            drawn: use the neighbours of the last :meth:`draw`, one per target, in place of all.
        """
        items, share = self._teacher(targets, drawn)
        if excluded is not None:
            share = share.masked_fill(_pairs_in(items, excluded, len(self.neighbours)), 0.0)
        share = share * (self.factor * self.weight[targets] / max(len(targets), 1)).unsqueeze(1)
        with torch.autocast(device_type=hidden.device.type, enabled=False):
            embeddings = rows(items.flatten()).float().view(*items.shape, -1)
            teacher = (share.unsqueeze(2) * embeddings).sum(dim=1)
            return (hidden.float() * (share.sum(dim=1, keepdim=True) * rows(targets).float() - teacher)).sum()

    def _teacher(self, targets: Tensor, drawn: bool) -> Tuple[Tensor, Tensor]:
        if not drawn:
            return self.neighbours[targets], self.probabilities[targets]
        items = self._drawn[targets].unsqueeze(1)
        return items, torch.ones_like(items, dtype=self.probabilities.dtype)


def _pairs_in(items: Tensor, excluded: Excluded, n_items: int) -> Tensor:
    """Return which entries of ``items`` (n_rows, k) are excluded in their row."""
    row = torch.arange(len(items), device=items.device).unsqueeze(1)
    return torch.isin(row * n_items + items, excluded.rows * n_items + excluded.items)
