"""Adam in one pass."""

import copy

import torch

from recbole_sda.engine.optimizers import fuse


def test_fused_adam_is_adam():
    torch.manual_seed(0)
    plain = torch.nn.Linear(5, 3)
    other = copy.deepcopy(plain)
    steps = [torch.optim.Adam(plain.parameters(), lr=0.01, weight_decay=0.1)]
    steps.append(fuse(torch.optim.Adam(other.parameters(), lr=0.01, weight_decay=0.1)))
    for _ in range(5):
        x = torch.randn(7, 5)
        for model, optimizer in zip((plain, other), steps):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    assert steps[1].param_groups[0]["fused"] and steps[0].param_groups[0]["fused"] is None
    torch.testing.assert_close(plain.weight, other.weight)


def test_other_optimizers_stay():
    optimizer = torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=0.1)
    assert fuse(optimizer) is optimizer and not optimizer.param_groups[0].get("fused")
