"""InfoNCE: closed forms, slow loops, gradients, and its relation to CMSA."""

import math

import pytest
import torch

from recbole_sda.losses.cmsa import CMSALoss
from recbole_sda.losses.infonce import InfoNCELoss, infonce_loss


def test_zero_vectors_give_log_batch():
    loss = InfoNCELoss(normalize=False)
    assert loss(torch.zeros(8, 3), torch.zeros(8, 3)).item() == pytest.approx(math.log(8))


@pytest.mark.parametrize("normalize", [True, False])
def test_symmetric_loss_equals_a_slow_loop(normalize):
    torch.manual_seed(0)
    x, y = torch.randn(5, 4).double(), torch.randn(5, 4).double()
    unit = (lambda v: v / v.norm()) if normalize else (lambda v: v)
    total = 0.0
    for k in range(5):
        for a, b in ((x, y), (y, x)):
            scores = [float(unit(a[k]) @ unit(b[j])) / 0.2 for j in range(5)]
            total += math.log(sum(math.exp(score) for score in scores)) - scores[k]
    assert InfoNCELoss(0.2, normalize=normalize)(x, y).item() == pytest.approx(total / 10, rel=1e-5)


def test_cmsa_with_a_sharp_teacher_is_infonce():
    torch.manual_seed(1)
    x = torch.randn(6, 16)
    y = x + 0.1 * torch.randn(6, 16)
    sharp = CMSALoss(0.1, teacher_scale=1e4)
    torch.testing.assert_close(sharp(x, y), InfoNCELoss(0.1)(x, y))


def test_temperature_is_a_parameter_or_a_constant_and_one_item_gives_zero():
    assert [name for name, _ in InfoNCELoss().named_parameters()] == ["temperature"]
    assert not list(InfoNCELoss(learnable=False).parameters())
    assert InfoNCELoss()(torch.ones(1, 2), torch.ones(1, 2)).item() == 0.0


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("positives", [None, [6, 0, 0, 3, 1]])
def test_one_direction_equals_a_slow_loop(normalize, positives):
    torch.manual_seed(0)
    x, candidates = torch.randn(5, 3).double(), torch.randn(7, 3).double()
    unit = (lambda v: v / v.norm()) if normalize else (lambda v: v)
    expected = []
    for k, a in enumerate(x):
        total = sum(math.exp(float(unit(a) @ unit(c)) / 0.3) for c in candidates)
        positive = unit(candidates[k if positives is None else positives[k]])
        expected.append(-math.log(math.exp(float(unit(a) @ positive) / 0.3) / total))
    loss = infonce_loss(x, candidates, 0.3, None if positives is None else torch.tensor(positives), normalize)
    torch.testing.assert_close(loss.item(), sum(expected) / 5, atol=1e-5, rtol=1e-5)


def test_one_direction_with_equal_rows_gives_log_batch():
    assert infonce_loss(torch.ones(8, 4), torch.ones(8, 4), 0.1).item() == pytest.approx(math.log(8))


def test_gradient_of_one_direction():
    x, y = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    infonce_loss(x, y, 0.5).backward()
    step = 1e-3
    with torch.no_grad():
        for part, place in ((x, (0, 1)), (y, (3, 2))):
            ends = []
            for sign in (1, -1):
                moved = part.clone()
                moved[place] += sign * step
                ends.append(infonce_loss(*((moved, y) if part is x else (x, moved)), 0.5))
            assert abs((ends[0] - ends[1]) / (2 * step) - part.grad[place]) < 1e-3
