"""A constant sparse matrix for products with dense matrices, in a fast layout forward and backward."""

import copy
import warnings
from typing import Any, Callable, Dict, Optional, Self, Tuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn


def _csr(matrix: sp.csr_matrix) -> Tensor:
    """Return a CSR tensor with 32-bit indices: on the CPU, its product is 1.4 times as fast as with 64-bit indices."""
    indptr, indices = (torch.from_numpy(part.astype(np.int32)) for part in (matrix.indptr, matrix.indices))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        values = torch.from_numpy(matrix.data.astype(np.float32))
        return torch.sparse_csr_tensor(indptr, indices, values, matrix.shape, check_invariants=False)


def sparse_matmul(matrix: Tensor, x: Tensor) -> Tensor:
    """Return ``matrix @ x`` for a CSR matrix. Adding to zeros in place takes a third of the time of ``@``, which copies twice."""
    return x.new_empty(matrix.shape[0], x.shape[1]).zero_().addmm_(matrix, x)


class _SparseMatmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, transpose: Tensor) -> Tensor:
        ctx.transpose = transpose
        return sparse_matmul(matrix, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tuple[Tensor, None, None]:
        return sparse_matmul(ctx.transpose, grad.contiguous()), None, None


class SparseMatrix(nn.Module):
    """A constant matrix (n_rows, n_cols). A call with x (n_cols, dim) returns the product (n_rows, dim), float32.

    Autocast has no effect: float32 is the type for which all devices define sparse products. The module also stores the transpose
    of a matrix that is not symmetric. Without it, autograd would transpose in each backward pass, which on the CPU costs as much
    as several products.

    Args:
        matrix: any scipy sparse matrix; entries at the same place are summed.

    Attributes:
        shape: (n_rows, n_cols).
        values: the matrix as a CSR tensor.
    """

    def __init__(self, matrix: sp.spmatrix):
        super().__init__()
        matrix = sp.csr_matrix(matrix)
        matrix.sum_duplicates()
        self.shape: Tuple[int, int] = matrix.shape
        symmetric = matrix.shape[0] == matrix.shape[1] and (abs(matrix - matrix.T) > 1e-7).nnz == 0
        # Not buffers: DistributedDataParallel broadcasts buffers, and cannot broadcast sparse tensors.
        self.values = _csr(matrix)
        self._transposed: Optional[Tensor] = None if symmetric else _csr(matrix.T.tocsr())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.values = fn(self.values)
        self._transposed = None if self._transposed is None else fn(self._transposed)
        return super()._apply(fn, recurse)

    def __deepcopy__(self, memo: Dict[int, Any]) -> Self:
        """Return a module that shares the constant matrices, since torch cannot deep-copy CSR tensors."""
        twin = self.__class__.__new__(self.__class__)
        memo[id(self)] = twin
        twin.__dict__.update({k: v if isinstance(v, Tensor) else copy.deepcopy(v, memo) for k, v in vars(self).items()})
        return twin

    @property
    def transpose(self) -> Tensor:
        """The transpose as a CSR tensor, used by the gradient; for a symmetric matrix it is ``values``."""
        return self.values if self._transposed is None else self._transposed

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return _SparseMatmul.apply(x.to(self.values.dtype), self.values, self.transpose)

    def extra_repr(self) -> str:
        return f"{self.shape[0]} x {self.shape[1]}, {self.values.values().numel()} entries"
