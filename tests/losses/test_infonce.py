"""InfoNCE: closed forms, slow re-derivation, its place beside CMSA."""

import pytest
import torch

from recbole_sda.losses.cmsa import CMSALoss
from recbole_sda.losses.infonce import InfoNCELoss


def test_zero_vectors_give_log_batch():
    loss = InfoNCELoss(normalize=False)
    assert loss(torch.zeros(8, 3), torch.zeros(8, 3)).item() == pytest.approx(torch.tensor(8.0).log().item())


def test_slow_loop():
    torch.manual_seed(0)
    x, y = torch.randn(5, 4), torch.randn(5, 4)
    total = 0.0
    for k in range(5):
        for a, b in ((x, y), (y, x)):
            scores = [torch.cosine_similarity(a[k], b[j], dim=0) / 0.2 for j in range(5)]
            total += torch.logsumexp(torch.stack(scores), 0) - scores[k]
    assert InfoNCELoss(0.2)(x, y).item() == pytest.approx((total / 10).item(), rel=1e-5)


def test_cmsa_with_a_sharp_teacher_is_infonce():
    torch.manual_seed(1)
    x = torch.randn(6, 16)
    y = x + 0.1 * torch.randn(6, 16)
    sharp = CMSALoss(0.1, teacher_scale=1e4)
    torch.testing.assert_close(sharp(x, y), InfoNCELoss(0.1)(x, y))


def test_temperature_is_learned_or_kept_and_one_row_is_zero():
    assert [name for name, _ in InfoNCELoss().named_parameters()] == ["temperature"]
    assert not list(InfoNCELoss(learnable=False).parameters())
    assert InfoNCELoss()(torch.ones(1, 2), torch.ones(1, 2)).item() == 0.0
