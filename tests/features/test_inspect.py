"""The figures of a store, on matrices with known figures."""

import numpy as np
import pytest
import torch

from recbole_sda.features.inspect import describe, effective_rank
from recbole_sda.features.store import FeatureStore, write_store


def test_effective_rank_of_known_matrices():
    torch.manual_seed(0)
    direction = torch.randn(1, 6, dtype=torch.float64)
    assert effective_rank(torch.randn(20, 1).double() @ direction) == pytest.approx(1, abs=1e-6)
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    assert effective_rank(signs) == pytest.approx(2)


def test_report(tmp_path):
    x = np.array([[3, 4], [3, 4], [6, 8], [0, 5], [9, 9]], np.float32)
    mask = np.array([True, True, True, True, False])
    path = write_store(tmp_path / "s", list("abcde"), {"image": x}, {"image": mask})
    (report,) = describe(FeatureStore(path))
    assert (report.dim, report.dtype, report.present, report.missing) == (2, "float32", 4, 1)
    assert (report.norm_min, report.norm_max, report.norm_mean) == (5, 10, 6.25)
    assert report.duplicate_rows == 1
    assert report.mean_cosine == pytest.approx((3 * 1 + 3 * 0.8) / 6)


def test_effective_rank_ignores_a_common_offset():
    """The rows are centred: a mean far from zero is not a direction in which they vary."""
    square = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    assert effective_rank(square + torch.tensor([100.0, -40.0])) == pytest.approx(2)
