"""L2 normalisation of vectors: values and gradients of torch, and zero vectors."""

import torch
from torch.nn import functional as F

from recbole_sda.layers.normalize import normalize_rows


def with_gradient(function, x, incoming):
    x = x.clone().requires_grad_()
    y = function(x)
    y.backward(incoming)
    return y.detach(), x.grad


def test_rows_and_gradients_are_those_of_normalize():
    torch.manual_seed(0)
    x = torch.randn(50, 8) * 10 ** torch.empty(50, 1).uniform_(-6, 3)
    incoming = torch.randn(50, 8)
    for ours, torchs in zip(
        with_gradient(normalize_rows, x, incoming), with_gradient(lambda x: F.normalize(x, dim=-1), x, incoming)
    ):
        assert torch.equal(ours, torchs)


def test_rows_of_zeros_stay_and_pass_gradients_on():
    x, incoming = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float16), torch.tensor([[1e3, -2.0], [0.0, 0.0]])
    value, gradient = with_gradient(normalize_rows, x, incoming)
    assert torch.equal(value, torch.tensor([[0.0, 0.0], [0.6, 0.8]])) and torch.equal(gradient, incoming.half())
