"""The contrastive loss with weighted positives equals a slow loop."""

import pytest
import torch
from torch.nn import functional as F

from recbole_sda.losses.weighted_contrastive import weighted_contrastive_loss


def test_slow_loop():
    torch.manual_seed(0)
    z = torch.randn(5, 4, dtype=torch.float64)
    w = torch.tensor([[9, 2, 0, 1, 0], [2, 0, 0, 0, 0], [0, 0, 5, 0, 0], [1, 0, 0, 0, 3], [0, 0, 0, 3, 0.0]])
    unit, losses = F.normalize(z, dim=1), []
    for i in (0, 1, 3, 4):  # item 2 has no positive
        others = [j for j in range(5) if j != i]
        scores = torch.stack([unit[i] @ unit[j] / 0.5 for j in others])
        p = w[i, others] / w[i, others].sum()
        losses.append(-(p * scores.log_softmax(0)).sum())
    assert weighted_contrastive_loss(z, w, 0.5).item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


def test_no_positives_give_zero_with_a_gradient():
    z = torch.randn(3, 2, requires_grad=True)
    loss = weighted_contrastive_loss(z, torch.eye(3))
    loss.backward()
    assert loss.item() == 0.0 and not z.grad.any()


def test_a_gradient_step_makes_positives_more_similar():
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.1]], requires_grad=True)
    w = torch.zeros(3, 3)
    w[0, 1] = w[1, 0] = 1
    weighted_contrastive_loss(z, w).backward()
    moved = F.normalize(z - 0.1 * z.grad, dim=1)
    assert moved[0] @ moved[1] > 0
