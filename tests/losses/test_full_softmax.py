"""Blocked cross entropy equals that of torch."""

import pytest
import torch
from torch.nn import functional as F

from recbole_sda.losses.full_softmax import Excluded, full_softmax_cross_entropy, history_pairs


def tensors(rows=7, items=11, dim=5, scale=3.0):
    torch.manual_seed(0)
    hidden, table = torch.randn(rows, dim) * scale, torch.randn(items, dim)
    return hidden.requires_grad_(), table.requires_grad_(), torch.randint(items, (rows,))


@pytest.mark.parametrize("block_scores", [1, 11, 30, 77, 10**6])
def test_value_and_gradients_equal_torch(block_scores):
    hidden, table, targets = tensors()
    ours = full_softmax_cross_entropy(hidden, table, targets, block_scores)
    theirs = F.cross_entropy(hidden @ table.T, targets)
    torch.testing.assert_close(ours, theirs)
    for one, other in zip(
        torch.autograd.grad(2 * ours, [hidden, table]), torch.autograd.grad(2 * theirs, [hidden, table])
    ):
        torch.testing.assert_close(one, other)


def test_large_scores_do_not_overflow():
    hidden, table, targets = tensors(scale=1e3)
    torch.testing.assert_close(
        full_softmax_cross_entropy(hidden, table, targets), F.cross_entropy(hidden @ table.T, targets)
    )


def test_a_uniform_table_gives_log_n():
    hidden, table, targets = tensors()
    assert full_softmax_cross_entropy(hidden, torch.zeros(11, 5), targets).item() == pytest.approx(
        torch.tensor(11.0).log()
    )


def test_gradients_are_computed_for_inputs_that_require_them():
    hidden, table, targets = tensors()
    loss = full_softmax_cross_entropy(hidden, table.detach(), targets)
    (gradient,) = torch.autograd.grad(loss, [hidden])
    torch.testing.assert_close(gradient, torch.autograd.grad(F.cross_entropy(hidden @ table.T, targets), [hidden])[0])
    with torch.no_grad():
        assert not full_softmax_cross_entropy(hidden, table, targets).requires_grad


def test_float32_under_mixed_precision():
    hidden, table, targets = tensors()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = full_softmax_cross_entropy(hidden.bfloat16(), table, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, F.cross_entropy(hidden.bfloat16().float() @ table.T, targets))


def test_no_rows_give_zero():
    assert (
        full_softmax_cross_entropy(torch.zeros(0, 5), torch.zeros(3, 5), torch.zeros(0, dtype=torch.long)).item() == 0.0
    )


HISTORIES = torch.tensor([[1, 2, 0], [5, 5, 9], [0, 0, 0], [10, 3, 4], [6, 0, 0], [7, 8, 9], [2, 0, 2]])


def slow_loss(hidden, table, targets, histories):
    """Each row's softmax over the items that are not in its history, in float64."""
    losses = []
    for h, target, history in zip(hidden.double(), targets.tolist(), histories.tolist()):
        allowed = [item for item in range(len(table)) if item == target or item == 0 or item not in history]
        scores = table.double()[allowed] @ h
        losses.append(scores.logsumexp(0) - scores[allowed.index(target)])
    return torch.stack(losses).mean().float()


@pytest.mark.parametrize("block_scores", [1, 5, 30, 77, 10**6])
def test_the_history_takes_no_part_but_for_the_target(block_scores):
    hidden, table, targets = tensors()
    targets[1] = 5  # also in its own history
    ours = full_softmax_cross_entropy(hidden, table, targets, block_scores, history_pairs(HISTORIES, targets))
    theirs = slow_loss(hidden, table, targets, HISTORIES)
    torch.testing.assert_close(ours, theirs)
    for one, other in zip(torch.autograd.grad(ours, [hidden, table]), torch.autograd.grad(theirs, [hidden, table])):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_history_pairs_leave_out_padding_and_target():
    rows, items = history_pairs(torch.tensor([[1, 2, 0], [3, 4, 3]]), torch.tensor([9, 3]))
    assert list(zip(rows.tolist(), items.tolist())) == [(0, 1), (0, 2), (1, 4)]


def test_an_excluded_item_gets_no_gradient():
    hidden, table, _ = tensors(rows=1)
    targets = torch.tensor([2])
    excluded = Excluded(torch.tensor([0, 0]), torch.tensor([4, 7]))
    full_softmax_cross_entropy(hidden, table, targets, excluded=excluded).backward()
    assert [row for row in range(11) if not table.grad[row].any()] == [4, 7]
