"""The contract of every loss between two modalities of the same items: each subclass of ``PairLoss`` in ``losses/``."""

import importlib
import inspect
import pkgutil

import pytest
import torch

import recbole_sda.losses
from recbole_sda.losses.pair_loss import PairLoss

MODULES = [
    importlib.import_module(f"recbole_sda.losses.{module.name}")
    for module in pkgutil.iter_modules(recbole_sda.losses.__path__)
]
CLASSES = dict.fromkeys(
    kind
    for module in MODULES
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, PairLoss) and kind is not PairLoss
)


@pytest.fixture(params=CLASSES)
def loss(request) -> PairLoss:
    """A loss with its default arguments."""
    return request.param()


@pytest.fixture
def pair():
    """Vectors of 12 items in two modalities, the second near the first."""
    torch.manual_seed(0)
    x = torch.randn(12, 8)
    return x, x + 0.5 * torch.randn(12, 8)


def test_there_are_losses():
    assert {"CMSALoss", "InfoNCELoss"} <= {kind.__name__ for kind in CLASSES}


def test_a_float32_scalar(loss, pair):
    for kind in (torch.float32, torch.bfloat16):
        value = loss(*(x.to(kind) for x in pair))
        assert value.shape == () and value.dtype == torch.float32 and torch.isfinite(value)


def test_fewer_than_two_items_give_zero_with_a_gradient(loss, pair):
    x = pair[0][:1].clone().requires_grad_()
    value = loss(x, pair[1][:1])
    value.backward()
    assert value == 0 and x.grad is not None and x.grad.abs().sum() == 0


def test_the_order_of_items_does_not_matter(loss, pair):
    x, y = pair
    order = torch.randperm(len(x))
    torch.testing.assert_close(loss(x[order], y[order]), loss(x, y))


def test_pairs_that_belong_together_cost_less(loss, pair):
    x, y = pair
    assert loss(x, y) < loss(x, y.roll(1, dims=0))


def test_a_step_against_the_gradient_lowers_the_loss(loss, pair):
    """The gradient reaches both modalities and every weight of the loss."""
    x, y = (part.clone().requires_grad_() for part in pair)
    value = loss(x, y)
    value.backward()
    assert all(parameter.grad is not None for parameter in loss.parameters())
    with torch.no_grad():
        assert loss(x - 0.01 * x.grad / x.grad.norm(), y) < value
        assert loss(x, y - 0.01 * y.grad / y.grad.norm()) < value
