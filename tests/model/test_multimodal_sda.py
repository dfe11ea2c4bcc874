"""What SDA adds to a multimodal recommender; what holds for each of them is in multimodal/test_base.py."""

import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.layers.modality_features import AdaptedFeatures, ModalityFeatures
from recbole_sda.losses.cmsa import CMSALoss, multimodal_cmsa
from recbole_sda.model.multimodal_sda import ITEM_TABLE_KEYS
from recbole_sda.model.registry import model_class


def test_the_mixin_precedes_the_model():
    names = [kind.__name__ for kind in model_class("FREEDOM_SDA").__mro__[:5]]
    assert names == ["FREEDOM_SDA", "MultimodalSDA", "SDALoss", "FREEDOM", "MultimodalRecommender"]


def test_what_the_model_builds_on_features_starts_from_the_experts(build):
    base, ours = build("FREEDOM").model, build("FREEDOM_SDA").model
    assert type(base.item_features) is ModalityFeatures and type(ours.item_features) is AdaptedFeatures
    assert [linear.in_features for linear in base.maps] == [6, 10]
    assert [linear.in_features for linear in ours.maps] == [10, 10]
    assert torch.equal(base.item_graph(torch.eye(38)), ours.item_graph(torch.eye(38)))  # on the frozen features


def test_adaptation_starts_from_nothing(build):
    """The widest modality is unchanged and a narrower one followed by zeros; the embedding of a missing one starts at zero."""
    features = build("MGCN_SDA").model.item_features
    image, text = features()
    torch.testing.assert_close(text, features.frozen()[1])
    torch.testing.assert_close(image, torch.nn.functional.pad(features.frozen()[0], (0, 4)))


def test_wide_features_are_narrowed_by_orthonormal_rows(build):
    model = build("MGCN_SDA", adapted_size=4, encoder_scale=1.0).model
    weight = model.item_features.encoder.shared.weight
    assert [linear.in_features for linear in model.maps] == [4, 4]
    gram = weight @ weight.T
    torch.testing.assert_close(gram / gram[0, 0], torch.eye(4), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_maps_start_at_the_length_of_the_features(build, scale):
    features = build("VBPR_SDA", encoder_scale=scale).model.item_features
    features.eval()
    lengths = [
        torch.cat([x[has].norm(dim=1) for x, has in zip(matrices, features.present)]).mean()
        for matrices in (features.frozen(), features())
    ]
    torch.testing.assert_close(lengths[1], scale * lengths[0])


def test_cmsa_is_taken_over_the_distinct_items_of_the_batch(build):
    built = build("BM3_SDA", cmsa_weight=0.5)
    model = built.model
    items = built.batch["item_id"].unique()
    rows, present = model.items.frozen_features(items)
    with torch.no_grad():
        expected = 0.5 * multimodal_cmsa(CMSALoss(0.1, True, 10.0), model.items.modalities(items), present, rows)
        torch.testing.assert_close(model.calculate_loss(built.batch)[1], expected)


def test_diagnostics_name_gates_and_entropy(build):
    built = build("MGCN_SDA")
    built.model.calculate_loss(built.batch)
    figures = built.model.diagnostics()
    assert {"gate/image/0", "gate/text/3", "cmsa/temperature", "cmsa/target_entropy"} <= set(figures)


@pytest.mark.parametrize("key, value", [(key, 0.5) for key in ITEM_TABLE_KEYS])
def test_keys_of_an_item_table_are_refused(build, key, value):
    with pytest.raises(InputError, match=f"{key}=0.5: VBPR_SDA does not use this key"):
        build("VBPR_SDA", **{key: value})


def test_the_preset_of_the_paper_is_taken(build):
    built = build("VBPR_SDA", preset="paper")
    assert type(built.model.items.encoder).__name__ == "LinearItemEncoder" and built.model.cmsa is None
    assert torch.isfinite(built.model.calculate_loss(built.batch))


def test_keys_of_the_encoder_are_refused_by_the_base(build):
    for name, key, value, ignored in (("VBPR", "moda_rank", 4, True), ("VBPR", "modalities", ["text"], False)):
        assert (key in build.config(name, **{key: value}).ignored_keys) == ignored
    assert "modalities" in build.config("SASRec", modalities=["text"]).ignored_keys
