"""Modality features as a module, unchanged and adapted."""

import pytest
import torch

from recbole_sda.layers.item_encoder import MoDAItemEncoder
from recbole_sda.layers.modality_features import AdaptedFeatures, ModalityFeatures


@pytest.fixture
def plain():
    torch.manual_seed(0)
    present = torch.tensor([[True, True, False, True], [True, True, True, False]])
    return ModalityFeatures([torch.randn(4, 3), torch.randn(4, 5)], present)


def test_missing_rows_and_padding_are_zero(plain):
    image, text = plain()
    assert not image[[0, 2]].any() and not text[[0, 3]].any() and image[[1, 3]].all() and text[[1, 2]].all()
    assert not plain.present[:, 0].any() and plain.dims == [3, 5]
    assert all(torch.equal(x[[3, 1]], rows) for x, rows in zip(plain(), plain(torch.tensor([3, 1]))))
    assert not plain.state_dict() and plain.encoder is None and plain.encoder_weights() == []


def test_adapted_features_are_the_encoders_modalities(plain):
    encoder = MoDAItemEncoder(plain.dims, 2)
    adapted = AdaptedFeatures(plain, encoder, 2)
    expected = encoder.project(plain(), plain.present)
    assert adapted.dims == [2, 2] and torch.equal(torch.stack(adapted()), expected)
    ids = torch.tensor([2, 1])
    torch.testing.assert_close(torch.stack(adapted(ids)), expected[:, ids])
    rows, present = adapted.frozen_features(ids)
    assert [row.shape for row in rows] == [(2, 3), (2, 5)] and present.tolist() == [[False, True], [True, True]]


def test_a_step_encodes_all_items_once(plain):
    encoder, calls = MoDAItemEncoder(plain.dims, 2), []
    adapted, project = AdaptedFeatures(plain, encoder, 2), encoder.project
    encoder.project = lambda *args: calls.append(1) or project(*args)
    with adapted.step():
        adapted(), adapted(), adapted(torch.tensor([1])), adapted.modalities(torch.tensor([2]))
    assert len(calls) == 1
    adapted()
    assert len(calls) == 2


def test_outside_a_step_nothing_is_stored(plain):
    adapted = AdaptedFeatures(plain, MoDAItemEncoder(plain.dims, 2), 2)
    first = torch.stack(adapted())
    torch.nn.init.ones_(adapted.encoder.shared.weight)
    assert not torch.equal(first, torch.stack(adapted()))
