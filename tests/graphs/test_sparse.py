"""Sparse products equal dense ones, forward and backward."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recbole_sda.graphs.sparse import SparseMatrix


def random(rows, cols, symmetric=False):
    dense = sp.random(rows, cols, density=0.2, random_state=0).toarray()
    return dense + dense.T if symmetric else dense


@pytest.mark.parametrize("dense", [random(7, 5), random(6, 6), random(6, 6, symmetric=True), np.zeros((3, 4))])
def test_product_and_gradient(dense):
    matrix = SparseMatrix(sp.coo_matrix(dense))
    x = torch.randn(dense.shape[1], 3, requires_grad=True)
    weights = torch.randn(dense.shape[0], 3)
    (matrix(x) * weights).sum().backward()
    torch.testing.assert_close(matrix(x), torch.from_numpy(dense).float() @ x)
    torch.testing.assert_close(x.grad, torch.from_numpy(dense).float().T @ weights)


def test_entries_at_one_place_are_summed_and_a_symmetric_matrix_is_stored_once():
    matrix = SparseMatrix(sp.coo_matrix(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 2)))
    assert matrix(torch.eye(2))[0, 1] == 3 and matrix.transpose is not matrix.values
    symmetric = SparseMatrix(sp.eye(3))
    assert symmetric.transpose is symmetric.values
    assert not SparseMatrix(sp.eye(3)).state_dict() and not list(matrix.buffers())


def test_moves_with_its_module():
    matrix = SparseMatrix(sp.eye(3, 4)).to(torch.float64)
    assert matrix.values.dtype == matrix.transpose.dtype == torch.float64
    assert torch.equal(matrix(torch.eye(4, dtype=torch.float64)), torch.eye(3, 4, dtype=torch.float64))


def test_a_deep_copy_gives_the_same_products():
    matrix = SparseMatrix(sp.random(6, 4, density=0.5, random_state=0))
    x = torch.randn(4, 3)
    assert torch.equal(copy.deepcopy(matrix)(x), matrix(x))


def test_torch_does_not_warn_of_unchecked_indices(recwarn):
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # else torch warns once per process
    try:
        SparseMatrix(sp.eye(3))
    finally:
        torch.set_warn_always(before)
    assert not [warning for warning in recwarn if "invariant" in str(warning.message)]
