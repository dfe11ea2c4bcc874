"""Sampled cross entropy: sampling probabilities, log-Q correction, the limit of many samples."""

from itertools import product

import pytest
import torch
from torch.nn import functional as F

from recbole_sda.losses.full_softmax import history_pairs
from recbole_sda.losses.sampled_softmax import ItemSampler, sampled_cross_entropy

COUNTS = torch.tensor([0, 9, 0, 4, 1, 2])


@pytest.mark.parametrize("counts", [None, COUNTS])
def test_items_are_drawn_with_the_stated_probability(counts):
    torch.manual_seed(0)
    sampler = ItemSampler(6, 200_000, counts)
    drawn = sampler.draw("cpu")
    assert drawn.min() == 1 and drawn.max() == 5
    expected = sampler.log_expected(torch.arange(1, 6)).exp()
    torch.testing.assert_close(torch.bincount(drawn, minlength=6)[1:].float(), expected, rtol=0.03, atol=0)
    assert expected.sum().item() == pytest.approx(200_000, rel=1e-5)


def test_by_hand():
    """One row with scores 2 (target), 1, 0; the target is excluded from the sample; k q is 2 and 1/2."""
    hidden = torch.tensor([[1.0]])
    loss = sampled_cross_entropy(
        hidden,
        torch.tensor([[2.0]]),
        torch.tensor([[2.0], [1.0], [0.0]]),
        torch.tensor([7]),
        torch.tensor([7, 3, 4]),
        torch.tensor([1.0, 2.0, 0.5]).log(),
    )
    e = torch.e
    assert loss.item() == pytest.approx(-torch.tensor(e**2 / (e**2 + e / 2 + 1 / 0.5)).log().item())


@pytest.mark.parametrize("counts", [None, COUNTS[:4]])
def test_expected_normaliser_is_that_of_the_catalogue(counts):
    """Expectation over all samples of two of three items."""
    scores = torch.tensor([0.0, 0.3, -1.2, 0.8])
    sampler = ItemSampler(4, 2, counts)
    q = sampler.log_expected(torch.arange(4)).exp() / 2
    mean = 0.0
    for draw in product([1, 2, 3], repeat=2):
        items = torch.tensor(draw)
        loss = sampled_cross_entropy(
            torch.ones(1, 1),
            scores[1:2, None],
            scores[items, None],
            torch.tensor([1]),
            items,
            sampler.log_expected(items),
        )
        mean += q[items].prod() * (loss + scores[1]).exp()
    assert mean.item() == pytest.approx(scores[1:].exp().sum().item(), rel=1e-5)


def test_many_samples_give_the_full_loss_and_gradients():
    torch.manual_seed(1)
    hidden, table = torch.randn(5, 4, requires_grad=True), torch.randn(6, 4, requires_grad=True)
    targets = torch.tensor([1, 2, 3, 4, 5])
    sampler = ItemSampler(6, 400_000, COUNTS)
    items = sampler.draw("cpu")
    ours = sampled_cross_entropy(hidden, table[targets], table[items], targets, items, sampler.log_expected(items))
    full = F.cross_entropy(hidden @ table[1:].T, targets - 1)
    torch.testing.assert_close(ours, full, rtol=2e-3, atol=0)
    for one, other in zip(torch.autograd.grad(ours, [hidden, table]), torch.autograd.grad(full, [hidden, table])):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=5e-3)


def test_no_rows_give_zero():
    none = torch.zeros(0, 4, requires_grad=True)
    drawn = torch.zeros(3, 4)
    items = torch.tensor([1, 2, 3])
    loss = sampled_cross_entropy(none, none, drawn, torch.zeros(0, dtype=torch.long), items, torch.zeros(3))
    assert loss.item() == 0.0


def test_the_history_is_left_out_of_the_sample():
    """Against a loop over the sample, which holds items twice and items of histories."""
    torch.manual_seed(2)
    hidden, table = torch.randn(4, 3), torch.randn(9, 3)
    targets, items = torch.tensor([1, 2, 3, 4]), torch.tensor([5, 2, 5, 7, 8, 1])
    histories = torch.tensor([[5, 0], [7, 8], [1, 3], [0, 0]])
    log_expected = torch.randn(6)
    ours = sampled_cross_entropy(
        hidden, table[targets], table[items], targets, items, log_expected, history_pairs(histories, targets)
    )
    losses = []
    for h, target, history in zip(hidden, targets.tolist(), histories.tolist()):
        kept = [k for k, item in enumerate(items.tolist()) if item != target and item not in history]
        scores = torch.stack([h @ table[target], *(h @ table[items[k]] - log_expected[k] for k in kept)])
        losses.append(scores.logsumexp(0) - scores[0])
    torch.testing.assert_close(ours, torch.stack(losses).mean())
