"""Checkpoints that were written before a parameter was renamed stay readable."""

import torch

from recbole_sda.layers.item_encoder import MoDAItemEncoder


def test_missing_embedding_was_called_absent():
    encoder = MoDAItemEncoder([3, 4], 2)
    state = {name: torch.randn_like(value) for name, value in encoder.state_dict().items()}
    old = {name.replace("missing_embedding", "absent"): value for name, value in state.items()}
    encoder.load_state_dict(old)
    assert torch.equal(encoder.missing_embedding, state["missing_embedding"])
