import pytest
import torch
from torch.nn import functional as F

from recbole_sda.errors import InputError
from recbole_sda.losses.cmsa import CMSALoss
from recbole_sda.losses.infonce import InfoNCELoss
from recbole_sda.lvlm.adaptation_loss import AdaptationLoss
from recbole_sda.lvlm.settings import read_settings

X, Y = (torch.randn(5, 12, generator=torch.Generator().manual_seed(k)) for k in (0, 1))


def test_cmsa_on_block_averages():
    loss = AdaptationLoss(read_settings((), {"loss_dim": 4, "center": False}))
    expected = CMSALoss()(X.view(5, 4, 3).mean(-1), Y.view(5, 4, 3).mean(-1))
    assert torch.allclose(loss(X, Y)["cmsa"], expected)
    assert loss.target_entropy > 0


def test_infonce_has_no_target_entropy():
    loss = AdaptationLoss(read_settings((), {"loss": "infonce", "center": False}))
    assert torch.allclose(loss(X, Y)["infonce"], InfoNCELoss()(X, Y))
    assert loss.target_entropy is None


def test_each_modality_is_centred():
    loss = AdaptationLoss(read_settings())
    shifted = loss(X + 100, Y - 50)["cmsa"]
    assert torch.allclose(shifted, CMSALoss()(X - X.mean(0), Y - Y.mean(0)), atol=1e-3)


def test_the_co_purchase_term_is_weighted():
    weights = torch.ones(5, 5)
    keys = {"interactions": "x.inter"}
    one, two = (
        AdaptationLoss(read_settings((), {**keys, "bought_together_weight": w}))(X, Y, weights)["bought_together"]
        for w in (1.0, 2.0)
    )
    assert one > 0 and torch.allclose(2 * one, two)


@pytest.mark.parametrize("name", ["cmsa", "infonce"])
def test_items_of_the_same_users_are_no_negatives(name):
    keys = {"interactions": "x.inter", "bought_together_weight": 1.0, "bought_together_mask": True, "center": False}
    loss = AdaptationLoss(read_settings((), {"loss": name, **keys}))
    counts = torch.zeros(5, 5)
    counts[0, 3] = counts[3, 0] = 2
    x, y = F.normalize(X, dim=1), F.normalize(Y, dim=1)
    losses = []
    for a, b in ((x, y), (y, x)):
        for i in range(5):
            kept = [j for j in range(5) if counts[i, j] == 0]
            logits = torch.stack([a[i] @ b[j] / 0.1 for j in kept]).log_softmax(0)
            target = (torch.tensor(kept) == i).float()
            if name == "cmsa":
                target = torch.stack([10 * (x[i] @ x[j] + y[i] @ y[j]) / 2 for j in kept]).softmax(0)
            losses.append(-(target * logits).sum())
    assert torch.allclose(loss(X, Y, counts)[name], torch.stack(losses).mean())
    assert torch.allclose(loss(X, Y)[name], loss(X, Y, torch.zeros(5, 5))[name])


def test_the_mask_needs_the_term():
    with pytest.raises(InputError, match="bought_together_mask=True needs bought_together_weight above 0"):
        read_settings((), {"bought_together_mask": True})
