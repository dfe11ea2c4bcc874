"""Cross entropy over the whole catalogue, in blocks of rows: the same value, without a score matrix that is kept."""

from typing import Optional, Tuple

import torch
from torch import Tensor

BLOCK_SCORES = 2_500_000  # scores held at a time, 10 MB of float32: about what a CPU core keeps close by


class _BlockedCrossEntropy(torch.autograd.Function):
    """Value and gradients in one pass: where a block's scores are at hand, both are a product away."""

    @staticmethod
    def forward(ctx, hidden: Tensor, table: Tensor, targets: Tensor, rows: int) -> Tensor:
        with torch.autocast(device_type=hidden.device.type, enabled=False):
            h, w = hidden.detach().float(), table.detach().float()
            wants_h, wants_w = ctx.needs_input_grad[:2]
            grad_h = torch.empty_like(h) if wants_h else None
            grad_w = torch.zeros_like(w) if wants_w else None
            total = h.new_zeros(())
            for start in range(0, len(h), rows):
                part, wanted = h[start : start + rows], targets[start : start + rows].unsqueeze(1)
                scores = part @ w.T
                top = scores.amax(dim=1, keepdim=True)
                total -= (scores.gather(1, wanted) - top).sum()
                scores.sub_(top).exp_()
                norm = scores.sum(dim=1, keepdim=True)
                total += norm.log().sum()
                if wants_h or wants_w:
                    scores.div_(norm)
                    scores.scatter_add_(1, wanted, scores.new_full(wanted.shape, -1.0))  # now d loss / d scores
                if wants_h:
                    torch.mm(scores, w, out=grad_h[start : start + rows])
                if wants_w:
                    grad_w.addmm_(scores.T, part)
        ctx.save_for_backward(grad_h, grad_w)
        ctx.dtypes = hidden.dtype, table.dtype
        return total

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        gradients = [
            None if value is None else (value * grad).to(dtype) for value, dtype in zip(ctx.saved_tensors, ctx.dtypes)
        ]
        return (*gradients, None, None)


def catalogue_cross_entropy(hidden: Tensor, table: Tensor, targets: Tensor, block_scores: int = BLOCK_SCORES) -> Tensor:
    """Return the mean over rows of ``-log softmax(hidden @ table.T)[target]``, a float32 scalar.

    Equal to ``F.cross_entropy(hidden @ table.T, targets)``, value and gradients, up to rounding; computed in float32,
    in blocks of rows whose scores (``block_scores`` of them, at least one row) are dropped as soon as they are used.
    Not differentiable twice.

    Args:
        hidden: (n_rows, dim).
        table: item embeddings, (n_items, dim).
        targets: (n_rows,), int64.
        block_scores: scores held in memory at a time.
    """
    rows = max(1, block_scores // len(table))
    return _BlockedCrossEntropy.apply(hidden, table, targets, rows) / max(len(hidden), 1)
