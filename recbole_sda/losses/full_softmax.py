"""Cross entropy over all items of the catalogue, computed in blocks so that no full score matrix is stored."""

from typing import Any, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

BLOCK_SCORES = 2_500_000  # scores in memory at a time: 10 MB of float32, about the cache of a CPU core
MIN_ROWS = 64  # with fewer rows per block, products with the full table are limited by memory bandwidth


class Excluded(NamedTuple):
    """Scores that take no part in a softmax, as pairs of a row and an item. A row's target is never excluded.

    Attributes:
        rows: (n_pairs,), int64, ascending.
        items: (n_pairs,), int64.
    """

    rows: Tensor
    items: Tensor

    def in_rows(self, start: int, end: int) -> "Excluded":
        """Return the pairs of rows from ``start`` to before ``end``, with rows counted from ``start``."""
        first, last = torch.searchsorted(self.rows, self.rows.new_tensor([start, end])).tolist()
        return Excluded(self.rows[first:last] - start, self.items[first:last])

    def in_items(self, start: int, end: int) -> "Excluded":
        """Return the pairs of items from ``start`` to before ``end``, with items counted from ``start``."""
        inside = (self.items >= start) & (self.items < end)
        return Excluded(self.rows[inside], self.items[inside] - start)


def history_pairs(histories: Tensor, targets: Tensor) -> Excluded:
    """Return the pairs of each row with the items of its history, except the target and the padding item 0.

    Args:
        histories: item ids of each row, (n_rows, length), 0 where there is none.
        targets: (n_rows,).
    """
    rows, columns = ((histories > 0) & (histories != targets.unsqueeze(1))).nonzero(as_tuple=True)
    return Excluded(rows, histories[rows, columns])


def _by_rows(
    h: Tensor,
    w: Tensor,
    targets: Tensor,
    excluded: Optional[Excluded],
    rows: int,
    grad_h: Optional[Tensor],
    grad_w: Optional[Tensor],
) -> Tensor:
    """Sum over blocks of rows, each with all items. One pass computes the value and adds to the gradients."""
    total = h.new_zeros(())
    for start in range(0, len(h), rows):
        part, target = h[start : start + rows], targets[start : start + rows].unsqueeze(1)
        scores = part @ w.T
        if excluded is not None:
            scores[tuple(excluded.in_rows(start, start + rows))] = -torch.inf
        top = scores.amax(dim=1, keepdim=True)
        total -= (scores.gather(1, target) - top).sum()
        scores.sub_(top).exp_()
        norm = scores.sum(dim=1, keepdim=True)
        total += norm.log().sum()
        if grad_h is not None or grad_w is not None:
            scores.div_(norm)
            scores.scatter_add_(1, target, scores.new_full(target.shape, -1.0))  # now d loss / d scores
        if grad_h is not None:
            torch.mm(scores, w, out=grad_h[start : start + rows])
        if grad_w is not None:
            grad_w.addmm_(scores.T, part)
    return total


def _by_items(
    h: Tensor,
    w: Tensor,
    targets: Tensor,
    excluded: Optional[Excluded],
    items: int,
    grad_h: Optional[Tensor],
    grad_w: Optional[Tensor],
) -> Tensor:
    """Sum over blocks of items, each with all rows. Scores are computed twice: for the normaliser, then for the gradients."""

    def scores_of(start: int) -> Tensor:
        scores = h @ w[start : start + items].T
        if excluded is not None:
            scores[tuple(excluded.in_items(start, start + items))] = -torch.inf
        return scores

    norm = h.new_full((len(h), 1), -torch.inf)
    for start in range(0, len(w), items):
        norm = torch.logaddexp(norm, scores_of(start).logsumexp(dim=1, keepdim=True))
    target_rows = w[targets]
    if grad_h is not None or grad_w is not None:
        for start in range(0, len(w), items):
            part = w[start : start + items]
            scores = scores_of(start).sub_(norm).exp_()
            if grad_h is not None:
                grad_h.addmm_(scores, part)
            if grad_w is not None:
                torch.mm(scores.T, h, out=grad_w[start : start + items])
    if grad_h is not None:
        grad_h.sub_(target_rows)
    if grad_w is not None:
        grad_w.index_add_(0, targets, h, alpha=-1.0)
    return (norm.squeeze(1) - (h * target_rows).sum(dim=1)).sum()


class _BlockedCrossEntropy(torch.autograd.Function):
    """Sum over rows. The forward pass computes the gradients too and saves them for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, table: Tensor, targets: Tensor, excluded: Optional[Excluded], block_scores: int
    ) -> Tensor:
        with torch.autocast(device_type=hidden.device.type, enabled=False):
            h, w = hidden.detach().float(), table.detach().float()
            needs_h, needs_w = ctx.needs_input_grad[:2]
            grad_h = torch.zeros_like(h) if needs_h else None
            grad_w = torch.zeros_like(w) if needs_w else None
            rows = block_scores // max(len(w), 1)
            if rows >= min(MIN_ROWS, len(h)):
                total = _by_rows(h, w, targets, excluded, max(rows, 1), grad_h, grad_w)
            else:
                total = _by_items(h, w, targets, excluded, max(block_scores // len(h), 1), grad_h, grad_w)
        ctx.save_for_backward(grad_h, grad_w)
        ctx.dtypes = hidden.dtype, table.dtype
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        gradients = [
            None if value is None else (value * grad).to(dtype) for value, dtype in zip(ctx.saved_tensors, ctx.dtypes)
        ]
        return (*gradients, None, None, None)


def full_softmax_cross_entropy(
    hidden: Tensor,
    table: Tensor,
    targets: Tensor,
    block_scores: int = BLOCK_SCORES,
    excluded: Optional[Excluded] = None,
) -> Tensor:
    """Return the mean over rows of ``-log softmax(hidden @ table.T)[target]``, a float32 scalar.

    Value and gradients equal those of ``F.cross_entropy(hidden @ table.T, targets)`` up to rounding. The scores are computed in
    float32, in blocks of rows, or of items for a large catalogue, and discarded after use. Not twice differentiable.

    With ``excluded`` the softmax of a row is over the other items, as if the excluded scores were minus infinity.

    Args:
        hidden: (n_rows, dim).
        table: item embeddings, (n_items, dim).
        targets: (n_rows,), int64.
        block_scores: number of scores in memory at a time.
        excluded: pairs of rows and items to leave out, for example those of :func:`history_pairs`.

    Returns:
        The loss; zero for no rows.

    Example:
        >>> import torch
        >>> hidden, table, targets = torch.randn(3, 4), torch.randn(7, 4), torch.tensor([1, 6, 2])
        >>> expected = torch.nn.functional.cross_entropy(hidden @ table.T, targets)
        >>> torch.allclose(full_softmax_cross_entropy(hidden, table, targets), expected, atol=1e-5)
        True
    """
    return _BlockedCrossEntropy.apply(hidden, table, targets, excluded, block_scores) / max(len(hidden), 1)
