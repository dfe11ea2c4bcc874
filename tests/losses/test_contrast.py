"""InfoNCE in one direction."""

import math

import pytest
import torch

from recbole_sda.losses.contrast import contrast


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("others", [None, 7])
def test_equals_a_slow_loop(normalize, others):
    torch.manual_seed(0)
    x, y = torch.randn(5, 3).double(), torch.randn(5, 3).double()
    among = None if others is None else torch.randn(others, 3).double()
    unit = (lambda v: v / v.norm()) if normalize else (lambda v: v)
    expected = []
    for a, b in zip(x, y):
        rest = y if among is None else among
        total = sum(math.exp(float(unit(a) @ unit(c)) / 0.3) for c in rest)
        expected.append(-math.log(math.exp(float(unit(a) @ unit(b)) / 0.3) / total))
    torch.testing.assert_close(contrast(x, y, 0.3, among, normalize), torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_equal_rows_give_log_batch():
    torch.testing.assert_close(contrast(torch.ones(8, 4), torch.ones(8, 4), 0.1), torch.full((8,), math.log(8)))


def test_gradient():
    x, y = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    contrast(x, y, 0.5).sum().backward()
    step = 1e-4
    with torch.no_grad():
        for place in ((0, 1), (3, 2)):
            moved = [x.clone(), x.clone()]
            moved[0][place] += step
            moved[1][place] -= step
            slope = (contrast(moved[0], y, 0.5).sum() - contrast(moved[1], y, 0.5).sum()) / (2 * step)
            assert abs(slope - x.grad[place]) < 1e-2
