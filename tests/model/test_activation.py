"""Torch's GELU in place of RecBole's formula of it."""

import copy

import pytest
import torch
from torch.nn import functional as F

from recbole_sda.model.activation import use_fused_gelu


@pytest.mark.parametrize("name, layers", [("SASRec", 2), ("BERT4Rec_SDA", 2), ("GRU4Rec", 0)])
def test_every_feed_forward_layer_is_replaced_and_the_loss_stays(build, name, layers):
    built = build(name)
    model = built.model.eval()

    def loss():
        torch.manual_seed(0)
        terms = model.calculate_loss(copy.deepcopy(built.batch))
        return sum(terms) if isinstance(terms, tuple) else terms

    before = loss()
    assert use_fused_gelu(model) == layers
    fused = [m for m in model.modules() if getattr(m, "intermediate_act_fn", None) is F.gelu]
    assert len(fused) == layers
    torch.testing.assert_close(loss(), before)


def test_other_activations_are_left_alone(build):
    assert use_fused_gelu(build("SASRec", hidden_act="relu").model) == 0
