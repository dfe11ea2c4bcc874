"""What the losses between two modalities share: the temperature and its limit, normalisation, float32."""

import pytest
import torch

from recbole_sda.losses.cmsa import CMSALoss
from recbole_sda.losses.infonce import InfoNCELoss
from recbole_sda.losses.pair_loss import MIN_TEMPERATURE

LOSSES = [CMSALoss, InfoNCELoss]


@pytest.mark.parametrize("kind", LOSSES)
def test_temperature_is_learned_and_stays_above_its_limit(kind):
    torch.manual_seed(0)
    x, y = torch.randn(2, 4, 3)
    loss = kind(temperature=0.001)
    assert torch.equal(loss(x, y), kind(MIN_TEMPERATURE)(x, y))
    loss(x, y).backward()  # the parameter itself is at the limit, and has a gradient
    assert loss.temperature.item() == pytest.approx(MIN_TEMPERATURE) and loss.temperature.grad != 0
    loss = kind(temperature=0.1)
    loss(x, y).backward()
    assert loss.temperature.item() == pytest.approx(0.1) and loss.temperature.grad != 0


@pytest.mark.parametrize("kind", LOSSES)
def test_a_constant_temperature_is_saved_with_the_model(kind):
    loss = kind(0.3, learnable=False)
    assert not list(loss.parameters()) and list(loss.state_dict()) == ["temperature"]


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("normalize", [True, False])
def test_computed_in_float32_under_mixed_precision(kind, normalize):
    torch.manual_seed(0)
    x, y = torch.randn(2, 8, 16).bfloat16()
    loss = kind(normalize=normalize)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(x, y)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(x.float(), y.float()))
    assert loss(x.double(), y.double()).dtype == torch.float32
