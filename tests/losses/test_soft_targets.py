"""Soft targets: the closed form, the estimate from drawn neighbours, and drawn targets."""

import pytest
import torch
from torch.nn import functional as F

from recbole_sda.losses.full_softmax import full_softmax_cross_entropy, history_pairs
from recbole_sda.losses.soft_targets import SoftTargets

N, K, ROWS, DIM = 8, 3, 6, 5


def teacher() -> SoftTargets:
    generator = torch.Generator().manual_seed(0)
    neighbours = torch.stack([torch.randperm(N - 1, generator=generator)[:K] + 1 for _ in range(N)])
    for item in range(N):  # no item is its own neighbour
        neighbours[item][neighbours[item] == item] = (
            (item % (N - 1)) + 1 if (item % (N - 1)) + 1 not in neighbours[item] else 0
        )
    probabilities = torch.rand(N, K, generator=generator) * (neighbours > 0)
    probabilities = probabilities / probabilities.sum(dim=1, keepdim=True)
    probabilities[[0, 4]] = 0.0  # items without neighbours
    return SoftTargets(neighbours, probabilities, 0.1 + 0.5 * torch.rand(N, generator=generator))


def distribution(soft: SoftTargets, target: int, excluded=()) -> torch.Tensor:
    weights = torch.zeros(N)
    weights[target] = 1.0
    for item, probability in zip(soft.neighbours[target].tolist(), soft.probabilities[target].tolist()):
        if item not in excluded:
            weights[item] += soft.factor * soft.weight[target] * probability
            weights[target] -= soft.factor * soft.weight[target] * probability
    return weights


@pytest.mark.parametrize("with_history", [False, True])
def test_value_and_gradients_are_those_of_cross_entropy_with_the_soft_distribution(with_history):
    torch.manual_seed(1)
    soft = teacher()
    soft.factor = 0.7
    hidden, table = torch.randn(ROWS, DIM, requires_grad=True), torch.randn(N, DIM, requires_grad=True)
    targets = torch.tensor([1, 4, 2, 7, 7, 3])
    histories = torch.tensor([[0, 2], [3, 5], [1, 6], [6, 5], [0, 0], [1, 2]]) * with_history
    excluded = history_pairs(histories, targets)
    loss = full_softmax_cross_entropy(hidden, table, targets, excluded=excluded)
    loss = loss + soft(hidden, targets, table.__getitem__, excluded)
    total = 0.0
    for row, target in enumerate(targets.tolist()):
        history = set(histories[row].tolist()) - {target, 0}
        scores = (table @ hidden[row]).clone()
        allowed = torch.tensor([item not in history for item in range(N)])
        log_p = scores.masked_fill(~allowed, -torch.inf).log_softmax(0)
        weights = distribution(soft, target, history)
        total = total - (weights[allowed] * log_p[allowed]).sum()
    expected = total / ROWS
    assert torch.allclose(loss, expected, atol=1e-5)
    ours, theirs = (torch.autograd.grad(value, [hidden, table]) for value in (loss, expected))
    for a, b in zip(ours, theirs):
        assert torch.allclose(a, b, atol=1e-5)


def test_drawn_neighbours_are_an_unbiased_estimate():
    torch.manual_seed(1)
    soft = teacher()
    hidden, table, targets = torch.randn(ROWS, DIM), torch.randn(N, DIM), torch.tensor([1, 4, 2, 7, 7, 3])
    exact = soft(hidden, targets, table.__getitem__)
    values = []
    for _ in range(4000):
        drawn = soft.draw(targets)
        assert set(drawn.tolist()) <= set(soft.neighbours[targets].flatten().tolist()) | {4}
        values.append(soft(hidden, targets, table.__getitem__, drawn=True))
    estimate = torch.stack(values)
    assert abs(estimate.mean() - exact) < 4 * estimate.std() / len(values) ** 0.5


def test_drawn_targets_follow_the_soft_distribution_and_padding_stays():
    torch.manual_seed(1)
    soft = teacher()
    for target in (2, 4, 7):
        drawn = soft.draw_targets(torch.full((100, 200), target))
        share = torch.bincount(drawn.flatten(), minlength=N) / drawn.numel()
        assert torch.allclose(share, distribution(soft, target), atol=0.015), target
    assert soft.draw_targets(torch.zeros(5, dtype=torch.int64)).tolist() == [0] * 5


def test_a_factor_of_zero_is_the_hard_target():
    soft = teacher()
    soft.factor = 0.0
    hidden, table, targets = torch.randn(ROWS, DIM), torch.randn(N, DIM), torch.tensor([1, 4, 2, 7, 7, 3])
    assert soft(hidden, targets, table.__getitem__) == 0
    assert torch.equal(soft.draw_targets(targets), targets)
    assert F.cross_entropy(hidden @ table.T, targets).isfinite()
