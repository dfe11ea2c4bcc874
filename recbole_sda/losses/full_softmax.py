"""Cross entropy over the whole catalogue, in blocks: the same value, without a score matrix that is kept."""

from typing import Optional, Tuple

import torch
from torch import Tensor

BLOCK_SCORES = 2_500_000  # scores held at a time, 10 MB of float32: about what a CPU core keeps close by
MIN_ROWS = 64  # with fewer rows per block, products with the whole table wait for memory


def _by_rows(h: Tensor, w: Tensor, targets: Tensor, rows: int, grad_h: Optional[Tensor], grad_w: Optional[Tensor]):
    """Blocks of rows over all items: value and gradients in one pass, since a block's scores give both."""
    total = h.new_zeros(())
    for start in range(0, len(h), rows):
        part, wanted = h[start : start + rows], targets[start : start + rows].unsqueeze(1)
        scores = part @ w.T
        top = scores.amax(dim=1, keepdim=True)
        total -= (scores.gather(1, wanted) - top).sum()
        scores.sub_(top).exp_()
        norm = scores.sum(dim=1, keepdim=True)
        total += norm.log().sum()
        if grad_h is not None or grad_w is not None:
            scores.div_(norm)
            scores.scatter_add_(1, wanted, scores.new_full(wanted.shape, -1.0))  # now d loss / d scores
        if grad_h is not None:
            torch.mm(scores, w, out=grad_h[start : start + rows])
        if grad_w is not None:
            grad_w.addmm_(scores.T, part)
    return total


def _by_items(h: Tensor, w: Tensor, targets: Tensor, items: int, grad_h: Optional[Tensor], grad_w: Optional[Tensor]):
    """Blocks of items over all rows, scored twice: first for the normaliser, then for the gradients."""
    norm = h.new_full((len(h), 1), -torch.inf)
    for start in range(0, len(w), items):
        norm = torch.logaddexp(norm, (h @ w[start : start + items].T).logsumexp(dim=1, keepdim=True))
    wanted = w[targets]
    if grad_h is not None or grad_w is not None:
        for start in range(0, len(w), items):
            part = w[start : start + items]
            scores = (h @ part.T).sub_(norm).exp_()
            if grad_h is not None:
                grad_h.addmm_(scores, part)
            if grad_w is not None:
                torch.mm(scores.T, h, out=grad_w[start : start + items])
    if grad_h is not None:
        grad_h.sub_(wanted)
    if grad_w is not None:
        grad_w.index_add_(0, targets, h, alpha=-1.0)
    return (norm.squeeze(1) - (h * wanted).sum(dim=1)).sum()


class _BlockedCrossEntropy(torch.autograd.Function):
    """Sum over rows; the gradients are made with the value and wait for the backward pass."""

    @staticmethod
    def forward(ctx, hidden: Tensor, table: Tensor, targets: Tensor, block_scores: int) -> Tensor:
        with torch.autocast(device_type=hidden.device.type, enabled=False):
            h, w = hidden.detach().float(), table.detach().float()
            wants_h, wants_w = ctx.needs_input_grad[:2]
            grad_h = torch.zeros_like(h) if wants_h else None
            grad_w = torch.zeros_like(w) if wants_w else None
            rows = block_scores // max(len(w), 1)
            if rows >= min(MIN_ROWS, len(h)):
                total = _by_rows(h, w, targets, max(rows, 1), grad_h, grad_w)
            else:
                total = _by_items(h, w, targets, max(block_scores // len(h), 1), grad_h, grad_w)
        ctx.save_for_backward(grad_h, grad_w)
        ctx.dtypes = hidden.dtype, table.dtype
        return total

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        gradients = [
            None if value is None else (value * grad).to(dtype) for value, dtype in zip(ctx.saved_tensors, ctx.dtypes)
        ]
        return (*gradients, None, None)


def full_softmax_cross_entropy(
    hidden: Tensor, table: Tensor, targets: Tensor, block_scores: int = BLOCK_SCORES
) -> Tensor:
    """Return the mean over rows of ``-log softmax(hidden @ table.T)[target]``, a float32 scalar.

    Equal to ``F.cross_entropy(hidden @ table.T, targets)``, value and gradients, up to rounding; computed in float32,
    in blocks whose scores are dropped as soon as they are used: of rows, or of items where the catalogue is large.
    Not differentiable twice.

    Args:
        hidden: (n_rows, dim).
        table: item embeddings, (n_items, dim).
        targets: (n_rows,), int64.
        block_scores: scores held in memory at a time.
    """
    return _BlockedCrossEntropy.apply(hidden, table, targets, block_scores) / max(len(hidden), 1)
