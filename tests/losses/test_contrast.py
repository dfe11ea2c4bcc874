"""InfoNCE in one direction."""

import math

import pytest
import torch

from recbole_sda.losses.contrast import contrast


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("right", [None, [6, 0, 0, 3, 1]])
def test_equals_a_slow_loop(normalize, right):
    torch.manual_seed(0)
    x, among = torch.randn(5, 3).double(), torch.randn(7, 3).double()
    unit = (lambda v: v / v.norm()) if normalize else (lambda v: v)
    expected = []
    for k, a in enumerate(x):
        total = sum(math.exp(float(unit(a) @ unit(c)) / 0.3) for c in among)
        own = unit(among[k if right is None else right[k]])
        expected.append(-math.log(math.exp(float(unit(a) @ own) / 0.3) / total))
    found = contrast(x, among, 0.3, None if right is None else torch.tensor(right), normalize)
    torch.testing.assert_close(found.item(), sum(expected) / 5, atol=1e-5, rtol=1e-5)


def test_equal_rows_give_log_batch():
    assert contrast(torch.ones(8, 4), torch.ones(8, 4), 0.1).item() == pytest.approx(math.log(8))


def test_gradient():
    x, y = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    contrast(x, y, 0.5).backward()
    step = 1e-3
    with torch.no_grad():
        for part, place in ((x, (0, 1)), (y, (3, 2))):
            ends = []
            for sign in (1, -1):
                moved = part.clone()
                moved[place] += sign * step
                ends.append(contrast(*((moved, y) if part is x else (x, moved)), 0.5))
            assert abs((ends[0] - ends[1]) / (2 * step) - part.grad[place]) < 1e-3
