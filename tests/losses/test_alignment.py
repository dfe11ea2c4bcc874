"""Alignment with a frozen collaborative table: value and gradient equal slow loops in double precision."""

import math

import pytest
import torch

from recbole_sda.losses.alignment import CollaborativeAlignment

TABLE = torch.tensor([[9.0, 9.0], [0.5, -1.0], [1.5, 0.2], [9.0, 9.0], [-0.3, 0.8], [0.4, 0.9]])
KNOWN = torch.tensor([False, True, True, False, True, True])
ITEMS = torch.tensor([5, 3, 1, 4])  # item 3 is not in the table
EMBEDDINGS = torch.tensor([[0.2, 1.1], [7.0, 7.0], [0.6, -0.4], [-0.9, 0.3]])


def dot(a, b):
    return sum(p * q for p, q in zip(a, b))


def softmax(values):
    total = sum(math.exp(value) for value in values)
    return [math.exp(value) / total for value in values]


def slow(embeddings, tau, normalize, constant_targets=None):
    """Loss and targets of the items that the table knows: cross entropy in both directions, with soft targets."""
    x, y = [], []
    for item, vector in zip(ITEMS.tolist(), embeddings):
        if KNOWN[item]:
            x.append([float(value) for value in vector])
            y.append([float(value) for value in TABLE[item]])
    if normalize:
        x, y = ([[value / math.sqrt(dot(row, row)) for value in row] for row in side] for side in (x, y))
    n = len(x)
    targets = constant_targets
    if targets is None:
        targets = [softmax([tau * (dot(x[i], x[j]) + dot(y[i], y[j])) / 2 for j in range(n)]) for i in range(n)]
    total = 0.0
    for i in range(n):
        to_table = softmax([dot(x[i], y[j]) / tau for j in range(n)])
        from_table = softmax([dot(x[j], y[i]) / tau for j in range(n)])
        for j in range(n):
            total -= targets[i][j] * math.log(to_table[j]) + targets[j][i] * math.log(from_table[j])
    return total / (2 * n), targets


@pytest.mark.parametrize("tau", [2.0, 0.5])
@pytest.mark.parametrize("normalize", [True, False])
def test_equals_the_formula_written_as_loops(tau, normalize):
    loss = CollaborativeAlignment(TABLE, KNOWN, tau, normalize)(ITEMS, EMBEDDINGS)
    assert loss.item() == pytest.approx(slow(EMBEDDINGS.double(), tau, normalize)[0], rel=1e-5)


def test_by_default_vectors_are_not_normalised_and_tau_is_two():
    loss = CollaborativeAlignment(TABLE, KNOWN)(ITEMS, EMBEDDINGS)
    assert loss.item() == pytest.approx(slow(EMBEDDINGS.double(), 2.0, False)[0], rel=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
def test_the_gradient_passes_through_the_targets(normalize):
    """It equals differences of the loops, which differ clearly from those with constant targets."""
    embeddings = EMBEDDINGS.clone().requires_grad_()
    CollaborativeAlignment(TABLE, KNOWN, 2.0, normalize)(ITEMS, embeddings).backward()
    constant_targets = slow(EMBEDDINGS.double(), 2.0, normalize)[1]
    step, gaps = 1e-6, []
    for i in range(4):
        for j in range(2):
            ends = [EMBEDDINGS.double().clone(), EMBEDDINGS.double().clone()]
            ends[0][i, j] += step
            ends[1][i, j] -= step
            with_targets, without = (
                (slow(ends[0], 2.0, normalize, fixed)[0] - slow(ends[1], 2.0, normalize, fixed)[0]) / (2 * step)
                for fixed in (None, constant_targets)
            )
            assert embeddings.grad[i, j].item() == pytest.approx(with_targets, abs=1e-5)
            gaps.append(abs(with_targets - without))
    assert max(gaps) > 0.01
    assert not embeddings.grad[1].any()  # item 3 is left out


def test_the_table_is_frozen():
    table = TABLE.clone().requires_grad_()
    alignment = CollaborativeAlignment(table, KNOWN)
    assert not list(alignment.parameters())
    alignment(ITEMS, EMBEDDINGS.clone().requires_grad_()).backward()
    assert table.grad is None


def test_without_known_items_the_loss_is_zero():
    alignment = CollaborativeAlignment(TABLE, torch.zeros(6).bool())
    assert alignment(torch.tensor([1, 2]), torch.randn(2, 2)).item() == 0.0
