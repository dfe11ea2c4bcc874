"""Rows of length one, with gradients that half precision can hold."""

import torch
from torch import Tensor


def normalize_rows(x: Tensor) -> Tensor:
    """Return ``x`` (..., dim) with each last-dimension row divided by its L2 norm, in float32 or above; rows of zeros stay zero.

    Value and gradient are those of ``torch.nn.functional.normalize`` but at a row of zeros, where its gradient is 1e12 times
    the incoming one: infinite in float16, and then NaN even where a mask of zeros stands before it. Here it is passed on as it is.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    norm = x.norm(dim=-1, keepdim=True)
    return x / torch.where(norm > 0, norm, 1.0)
