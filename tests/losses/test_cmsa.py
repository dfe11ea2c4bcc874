"""CMSA: closed forms, a slow loop, gradients, and what happens to missing modalities."""

import math

import pytest
import torch
from torch.nn import functional as F

from recbole_sda.losses.cmsa import MIN_TEMPERATURE, CMSALoss, multimodal_cmsa

PAPER = {"temperature": 3.0, "learnable": True, "teacher_scale": None, "normalize": False, "detach_teacher": False}


def slow(x, y, tau, scale):
    """The formula, entry by entry, in Python floats."""
    n = len(x)
    dot = lambda a, b: sum(float(p) * float(q) for p, q in zip(a, b))  # noqa: E731
    targets = []
    for i in range(n):
        row = [math.exp(scale * (dot(x[i], x[j]) + dot(y[i], y[j])) / 2) for j in range(n)]
        targets.append([value / sum(row) for value in row])
    logits = [[dot(x[i], y[j]) / tau for j in range(n)] for i in range(n)]
    total = 0.0
    for i in range(n):
        for table in (logits, [list(column) for column in zip(*logits)]):
            target = targets[i] if table is logits else [targets[j][i] for j in range(n)]
            norm = math.log(sum(math.exp(v) for v in table[i]))
            total -= 0.5 * sum(t * (v - norm) for t, v in zip(target, table[i])) / n
    return total


@pytest.mark.parametrize("tau, scale", [(3.0, None), (0.1, 20.0), (0.5, 5.0)])
@pytest.mark.parametrize("normalize", [True, False])
def test_equals_the_formula_written_as_loops(tau, scale, normalize):
    """The second term has the transposed targets, which are columns of T: they need not sum to one."""
    torch.manual_seed(0)
    x, y = torch.randn(2, 6, 4).double() / 2
    loss = CMSALoss(tau, False, scale, normalize, True)
    a, b = (F.normalize(x, dim=-1), F.normalize(y, dim=-1)) if normalize else (x, y)
    assert loss(x, y).item() == pytest.approx(slow(a, b, tau, tau if scale is None else scale), rel=1e-5)


@pytest.mark.parametrize("n", [2, 5, 64])
def test_vectors_that_say_nothing_give_log_n(n):
    """All logits and targets are uniform: the cross entropy is log n, and so is the entropy of the targets."""
    loss = CMSALoss(**PAPER)
    zeros = torch.zeros(n, 3)
    assert loss(zeros, zeros).item() == pytest.approx(math.log(n), rel=1e-6)
    assert loss.target_entropy.item() == pytest.approx(math.log(n), rel=1e-6)


def test_one_hot_targets_give_symmetric_infonce():
    torch.manual_seed(0)
    x, y = torch.randn(2, 8, 16)
    loss = CMSALoss(0.5, False, teacher_scale=1e6)
    logits = F.normalize(x, dim=-1) @ F.normalize(y, dim=-1).T / 0.5
    labels = torch.arange(8)
    expected = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    torch.testing.assert_close(loss(x, y), expected)
    assert loss.target_entropy.item() < 1e-6


def test_the_order_of_items_does_not_matter():
    torch.manual_seed(0)
    x, y = torch.randn(2, 7, 5)
    loss, order = CMSALoss(), torch.randperm(7)
    torch.testing.assert_close(loss(x, y), loss(x[order], y[order]))


def test_the_order_of_modalities_matters_little():
    """T is normalised over rows and its transpose is not, so the two directions differ where targets are soft."""
    torch.manual_seed(0)
    x, y = torch.randn(2, 7, 5)
    torch.testing.assert_close(CMSALoss()(x, y), CMSALoss()(y, x), rtol=1e-3, atol=0)
    sharp = CMSALoss(teacher_scale=1e6)
    torch.testing.assert_close(sharp(x, y), sharp(y, x))


def test_targets_follow_the_structure_inside_the_modalities():
    """Two items that look and read alike share their target; a third stays alone."""
    x = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), dim=-1)
    targets = CMSALoss(teacher_scale=20.0).targets(x, x)
    assert targets[0, 1] > 0.4 and targets[0, 2] < 1e-3 and targets[2, 2] > 0.99


def test_scale_decides_whether_targets_are_soft():
    """The known weakness of the reference: large raw states give one-hot targets, unit norms uniform ones."""
    torch.manual_seed(0)
    x, y = torch.randn(2, 32, 512) + 3 * torch.randn(2, 1, 512)  # states of one model all point one way
    raw = CMSALoss(**PAPER)
    raw(x, y)
    assert raw.target_entropy.item() < 1e-3
    unit = CMSALoss(**{**PAPER, "normalize": True})
    unit(x, y)
    assert unit.target_entropy.item() > 0.95 * math.log(32)


@pytest.mark.parametrize("size", [0, 1])
def test_fewer_than_two_items_give_exactly_zero(size):
    x = torch.randn(size, 4, requires_grad=True)
    loss = CMSALoss()(x, x)
    assert loss.item() == 0.0
    loss.backward()
    assert x.grad is None or not x.grad.any()


def test_gradients_with_the_teacher():
    """The loss is float32, so its gradients are compared with differences of the slow double form."""
    torch.manual_seed(0)
    x, y = (torch.randn(4, 3, dtype=torch.float64) / 2).requires_grad_(), torch.randn(4, 3, dtype=torch.float64) / 2
    CMSALoss(**PAPER)(x, y).backward()
    step = 1e-5
    for i, j in [(0, 0), (1, 2), (3, 1)]:
        moved = [x.detach().clone(), x.detach().clone()]
        moved[0][i, j] += step
        moved[1][i, j] -= step
        difference = (slow(moved[0], y, 3.0, 3.0) - slow(moved[1], y, 3.0, 3.0)) / (2 * step)
        assert x.grad[i, j].item() == pytest.approx(difference, abs=1e-4)


def test_detached_teacher_is_a_constant():
    torch.manual_seed(0)
    x, y = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3)
    loss = CMSALoss(1.0, False, 5.0, normalize=False, detach_teacher=True)
    loss(x, y).backward()
    targets, logits = loss.targets(x.detach(), y), x.detach() @ y.T
    rows, columns = logits.softmax(1), logits.softmax(0)
    expected = (rows * targets.sum(1, keepdim=True) - targets) + (columns * targets.sum(0, keepdim=True) - targets)
    torch.testing.assert_close(x.grad, expected @ y / 8)


def test_temperature_is_learned_and_kept_away_from_zero():
    loss = CMSALoss(temperature=0.001)
    x, y = torch.randn(2, 4, 3)
    assert torch.equal(loss(x, y), CMSALoss(MIN_TEMPERATURE)(x, y))
    loss(x, y).backward()  # it says what it is, and can rise again
    assert loss.temperature.item() == pytest.approx(MIN_TEMPERATURE) and loss.temperature.grad != 0
    loss = CMSALoss(temperature=0.1)
    loss(x, y).backward()
    assert loss.temperature.grad is not None and loss.temperature.grad != 0
    assert not list(CMSALoss(learnable=False).parameters())


def test_computed_in_float32_under_mixed_precision():
    torch.manual_seed(0)
    x, y = torch.randn(2, 8, 16).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = CMSALoss()(x, y)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, CMSALoss()(x.float(), y.float()))


def test_many_modalities_are_the_mean_over_pairs_of_items_that_have_both():
    torch.manual_seed(0)
    z, present = torch.randn(3, 6, 4), torch.rand(3, 6) > 0.3
    loss = CMSALoss()
    expected = []
    for a, b in [(0, 1), (0, 2), (1, 2)]:
        both = [i for i in range(6) if present[a, i] and present[b, i]]
        expected.append(loss(z[a, both], z[b, both]))
    torch.testing.assert_close(multimodal_cmsa(loss, z, present), sum(expected) / 3)


def test_items_without_a_side_do_not_matter():
    torch.manual_seed(0)
    z, present = torch.randn(2, 5, 4), torch.tensor([[1, 1, 1, 0, 1], [1, 1, 0, 1, 1]]).bool()
    before = multimodal_cmsa(CMSALoss(), z, present)
    z[:, 2:4] = 1e6
    assert torch.equal(multimodal_cmsa(CMSALoss(), z, present), before)


def test_one_modality_gives_zero():
    z = torch.randn(1, 5, 4, requires_grad=True)
    loss = multimodal_cmsa(CMSALoss(), z, torch.ones(1, 5, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0 and not z.grad.any()


def test_a_teacher_of_its_own_replaces_the_embeddings_in_the_targets_alone():
    x, y, u, v = (torch.randn(6, width) for width in (4, 4, 9, 7))
    loss = CMSALoss(0.5, learnable=False, teacher_scale=3.0, normalize=True)
    unit = [F.normalize(side, dim=-1) for side in (x, y, u, v)]
    targets = (3.0 * (unit[2] @ unit[2].T + unit[3] @ unit[3].T) / 2).softmax(dim=1)
    logits = unit[0] @ unit[1].T / 0.5
    rows = -(targets * logits.log_softmax(1)).sum(1).mean()
    columns = -(targets * logits.log_softmax(0)).sum(0).mean()
    torch.testing.assert_close(loss(x, y, (u, v)), (rows + columns) / 2)
    present = torch.ones(2, 6, dtype=torch.bool)
    torch.testing.assert_close(multimodal_cmsa(loss, torch.stack([x, y]), present, [u, v]), loss(x, y, (u, v)))
