"""L2 normalisation whose gradients stay within the range of half precision."""

import torch
from torch import Tensor


def normalize_rows(x: Tensor) -> Tensor:
    """Return ``x`` (..., dim) with each vector divided by its L2 norm, in float32 or wider; zero vectors stay zero.

    Value and gradient equal those of ``torch.nn.functional.normalize`` except at a zero vector. There the gradient of torch is
    1e12 times the incoming one: infinite in float16, and NaN after multiplication by a mask of zeros. This function passes the
    incoming gradient through unchanged.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    norm = x.norm(dim=-1, keepdim=True)
    return x / torch.where(norm > 0, norm, 1.0)
