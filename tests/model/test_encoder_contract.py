"""The contract of every item encoder that ``item_encoder`` names."""

import pytest
import torch

from recbole_sda.layers.item_encoder import ItemEncoder
from recbole_sda.model.sda import build_encoder
from recbole_sda.model.settings import CHOICES, SDASettings

NAMES = [name for name in CHOICES["item_encoder"] if name != "identity"]  # identity: no encoder
DIMS, WIDTH, N = (6, 10), 8, 20


@pytest.fixture(params=NAMES)
def encoder(request, build) -> ItemEncoder:
    """An encoder with the default settings, which is named by the key."""
    torch.manual_seed(0)
    return build_encoder(SDASettings.from_config(build.config("BPR_SDA", item_encoder=request.param)), DIMS, WIDTH)


@pytest.fixture
def features():
    """Features of 20 items, and which of them are present; the last item has no text."""
    torch.manual_seed(1)
    present = torch.ones(2, N, dtype=torch.bool)
    present[1, -1] = False
    return [torch.randn(N, dim) for dim in DIMS], present


def test_each_item_is_encoded_alone(encoder, features):
    """Shapes, and an item's row does not depend on the other items of the call."""
    (x, present), encoder = features, encoder.eval()
    modalities, items = encoder(x, present)
    assert modalities.shape == (2, N, WIDTH) and items.shape == (N, WIDTH)
    alone = encoder([part[3:5] for part in x], present[:, 3:5])[1]
    torch.testing.assert_close(alone, items[3:5])


def test_a_missing_modality_is_not_read(encoder, features):
    (x, present), encoder = features, encoder.eval()
    before = encoder(x, present)[1]
    x[1][-1] += 100
    torch.testing.assert_close(encoder(x, present)[1], before)
    x[1][0] += 1
    assert not torch.allclose(encoder(x, present)[1][0], before[0])


def test_the_scale_of_the_output_can_be_set(encoder, features):
    encoder = encoder.eval()
    before = encoder(*features)[0]
    encoder.scale_(2.0)
    torch.testing.assert_close(encoder(*features)[0][:, :-1], 2 * before[:, :-1])


def test_gradients_reach_every_weight(encoder, features):
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter)  # low-rank maps start at zero, where one factor has no gradient
    encoder(*features)[1].square().sum().backward()
    for name, parameter in encoder.named_parameters():
        if name == "missing_embedding":  # a fusion may ignore it
            continue
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
