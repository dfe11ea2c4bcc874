"""CMSA: closed forms, a slow loop, gradients with and without the teacher, missing modalities."""

import math

import pytest
import torch
from torch.nn import functional as F

from recbole_sda.losses.cmsa import CMSALoss, multimodal_cmsa

PAPER = {"temperature": 3.0, "learnable": True, "teacher_scale": None, "normalize": False, "detach_teacher": False}


def slow(x, y, tau, scale, teacher=None):
    """The formula, entry by entry, in Python floats. ``teacher``: the pair of sides that gives the targets, by default x, y."""
    n = len(x)
    dot = lambda a, b: sum(float(p) * float(q) for p, q in zip(a, b))
    targets, (u, v) = [], teacher or (x, y)
    for i in range(n):
        row = [math.exp(scale * (dot(u[i], u[j]) + dot(v[i], v[j])) / 2) for j in range(n)]
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
    """The second term uses the columns of T as targets, which need not sum to one."""
    torch.manual_seed(0)
    x, y = torch.randn(2, 6, 4).double() / 2
    loss = CMSALoss(tau, False, scale, normalize, True)
    a, b = (F.normalize(x, dim=-1), F.normalize(y, dim=-1)) if normalize else (x, y)
    assert loss(x, y).item() == pytest.approx(slow(a, b, tau, tau if scale is None else scale), rel=1e-5)


@pytest.mark.parametrize("n", [2, 5, 64])
def test_zero_vectors_give_log_n(n):
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
    """Two items with similar images and texts share their target; the third keeps its own."""
    x = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), dim=-1)
    targets = CMSALoss(teacher_scale=20.0).targets(x, x)
    assert targets[0, 1] > 0.4 and targets[0, 2] < 1e-3 and targets[2, 2] > 0.99


def test_scale_decides_whether_targets_are_soft():
    """Known weakness of the reference settings: unnormalised states give one-hot targets, unit norms uniform ones."""
    torch.manual_seed(0)
    x, y = torch.randn(2, 32, 512) + 3 * torch.randn(2, 1, 512)  # states of one model share a common direction
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


def differences(function, x, step=1e-5):
    """Central differences of a function of x (n, dim), double precision."""
    gradient = torch.zeros_like(x)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            ends = [x.clone(), x.clone()]
            ends[0][i, j] += step
            ends[1][i, j] -= step
            gradient[i, j] = (function(ends[0]) - function(ends[1])) / (2 * step)
    return gradient


@pytest.mark.parametrize("detach", [False, True])
def test_the_gradient_passes_through_the_targets_unless_they_are_detached(detach):
    """The loss is float32, so its gradients are compared with differences of the slow form in double precision."""
    torch.manual_seed(0)
    x, y = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    inputs = [x.clone().requires_grad_(), y.clone().requires_grad_()]
    CMSALoss(2.0, False, 1.0, normalize=False, detach_teacher=detach)(*inputs).backward()
    constant = (x, y) if detach else None
    for_x = differences(lambda a: slow(a, y, 2.0, 1.0, constant), x)
    for_y = differences(lambda b: slow(x, b, 2.0, 1.0, constant), y)
    torch.testing.assert_close(inputs[0].grad, for_x, atol=1e-5, rtol=0)
    torch.testing.assert_close(inputs[1].grad, for_y, atol=1e-5, rtol=0)
    other = differences(lambda a: slow(a, y, 2.0, 1.0, None if detach else (x, y)), x)
    assert (for_x - other).abs().max() > 0.01  # the two settings differ clearly


@pytest.mark.parametrize("detach", [False, True])
def test_vectors_of_a_teacher_get_a_gradient_unless_they_are_detached(detach):
    torch.manual_seed(0)
    x, y, u, v = (torch.randn(4, 3, dtype=torch.float64) for _ in range(4))
    teacher = (u.clone().requires_grad_(), v)
    student = x.clone().requires_grad_()
    CMSALoss(0.5, False, 1.0, normalize=False, detach_teacher=detach)(student, y, teacher).backward()
    for_x = differences(lambda a: slow(a, y, 0.5, 1.0, (u, v)), x)
    torch.testing.assert_close(student.grad, for_x, atol=1e-5, rtol=0)
    if detach:
        assert teacher[0].grad is None
    else:
        for_u = differences(lambda a: slow(x, y, 0.5, 1.0, (a, v)), u)
        torch.testing.assert_close(teacher[0].grad, for_u, atol=1e-5, rtol=0)


def test_targets_are_detached_by_default_and_a_shared_temperature_learns_through_attached_ones():
    """With one temperature for both, its gradient has a part from the targets only if these are not detached."""
    torch.manual_seed(0)
    x, y = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    assert not CMSALoss().targets(x.requires_grad_(), y).requires_grad
    x = x.detach()
    step = 1e-5
    for detach in (False, True):
        loss = CMSALoss(2.0, True, None, normalize=False, detach_teacher=detach)
        loss(x, y).backward()
        ends = [slow(x, y, 2.0 + d, 2.0 if detach else 2.0 + d) for d in (step, -step)]
        assert loss.temperature.grad.item() == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-4)


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


def test_a_separate_teacher_replaces_the_embeddings_in_the_targets_only():
    x, y, u, v = (torch.randn(6, width) for width in (4, 4, 9, 7))
    loss = CMSALoss(0.5, learnable=False, teacher_scale=3.0, normalize=True)
    unit = [F.normalize(side.double(), dim=-1) for side in (x, y, u, v)]
    expected = slow(unit[0], unit[1], 0.5, 3.0, (unit[2], unit[3]))
    assert loss(x, y, (u, v)).item() == pytest.approx(expected, rel=1e-5)
    present = torch.ones(2, 6, dtype=torch.bool)
    torch.testing.assert_close(multimodal_cmsa(loss, torch.stack([x, y]), present, [u, v]), loss(x, y, (u, v)))
