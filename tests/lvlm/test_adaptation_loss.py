import torch

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
