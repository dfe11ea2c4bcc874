"""Cross entropy over all items of the catalogue, computed in blocks so that no full score matrix is stored."""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor

BLOCK_SCORES = 2_500_000  # scores in memory at a time: 10 MB of float32, about the cache of a CPU core
MIN_ROWS = 64  # with fewer rows per block, products with the full table are limited by memory bandwidth


def _by_rows(
    h: Tensor, w: Tensor, targets: Tensor, rows: int, grad_h: Optional[Tensor], grad_w: Optional[Tensor]
) -> Tensor:
    """Sum over blocks of rows, each with all items. One pass computes the value and adds to the gradients."""
    total = h.new_zeros(())
    for start in range(0, len(h), rows):
        part, target = h[start : start + rows], targets[start : start + rows].unsqueeze(1)
        scores = part @ w.T
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
    h: Tensor, w: Tensor, targets: Tensor, items: int, grad_h: Optional[Tensor], grad_w: Optional[Tensor]
) -> Tensor:
    """Sum over blocks of items, each with all rows. Scores are computed twice: for the normaliser, then for the gradients."""
    norm = h.new_full((len(h), 1), -torch.inf)
    for start in range(0, len(w), items):
        norm = torch.logaddexp(norm, (h @ w[start : start + items].T).logsumexp(dim=1, keepdim=True))
    target_rows = w[targets]
    if grad_h is not None or grad_w is not None:
        for start in range(0, len(w), items):
            part = w[start : start + items]
            scores = (h @ part.T).sub_(norm).exp_()
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
    def forward(ctx: Any, hidden: Tensor, table: Tensor, targets: Tensor, block_scores: int) -> Tensor:
        with torch.autocast(device_type=hidden.device.type, enabled=False):
            h, w = hidden.detach().float(), table.detach().float()
            needs_h, needs_w = ctx.needs_input_grad[:2]
            grad_h = torch.zeros_like(h) if needs_h else None
            grad_w = torch.zeros_like(w) if needs_w else None
            rows = block_scores // max(len(w), 1)
            if rows >= min(MIN_ROWS, len(h)):
                total = _by_rows(h, w, targets, max(rows, 1), grad_h, grad_w)
            else:
                total = _by_items(h, w, targets, max(block_scores // len(h), 1), grad_h, grad_w)
        ctx.save_for_backward(grad_h, grad_w)
        ctx.dtypes = hidden.dtype, table.dtype
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        gradients = [
            None if value is None else (value * grad).to(dtype) for value, dtype in zip(ctx.saved_tensors, ctx.dtypes)
        ]
        return (*gradients, None, None)


def full_softmax_cross_entropy(
    hidden: Tensor, table: Tensor, targets: Tensor, block_scores: int = BLOCK_SCORES
) -> Tensor:
    """Return the mean over rows of ``-log softmax(hidden @ table.T)[target]``, a float32 scalar.

    Value and gradients equal those of ``F.cross_entropy(hidden @ table.T, targets)`` up to rounding. The scores are computed in
    float32, in blocks of rows, or of items for a large catalogue, and discarded after use. Not twice differentiable.

    Args:
        hidden: (n_rows, dim).
        table: item embeddings, (n_items, dim).
        targets: (n_rows,), int64.
        block_scores: number of scores in memory at a time.

    Returns:
        The loss; zero for no rows.

    Example:
        >>> import torch
        >>> hidden, table, targets = torch.randn(3, 4), torch.randn(7, 4), torch.tensor([1, 6, 2])
        >>> expected = torch.nn.functional.cross_entropy(hidden @ table.T, targets)
        >>> torch.allclose(full_softmax_cross_entropy(hidden, table, targets), expected, atol=1e-5)
        True
    """
    return _BlockedCrossEntropy.apply(hidden, table, targets, block_scores) / max(len(hidden), 1)
