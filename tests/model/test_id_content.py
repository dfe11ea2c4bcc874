"""Content in the id table and in the targets of every SDA version."""

import copy

import numpy as np
import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.content import content_vectors, principal_components
from recbole_sda.features.store import FeatureStore, write_store
from recbole_sda.model import id_content
from recbole_sda.model.id_content import IdContent
from recbole_sda.model.model_table import BASE_MODELS, MULTIMODAL
from recbole_sda.model.settings import SDASettings

from ..conftest import WAYS_OFF
from .conftest import total

PLAIN = {"item_encoder": "identity", "cmsa_weight": 0.0, **WAYS_OFF}
WAYS = {
    "start": {"id_start": "features"},
    "start of both": {"id_start": "both"},
    "bound": {"id_start": "features", "id_bound": 0.5, "id_bound_full": 6},
    "smoothing": {"id_smoothing": 0.5, "id_neighbours": 3},
    "both graphs": {"id_smoothing": 1.0, "id_graph": "both", "id_smoothing_kappa": 5.0, "id_neighbours": 3},
    "codes": {"id_codes": [4, 3], "id_shrinkage": 2.0},
    "soft targets": {"soft_targets": 0.3, "soft_targets_neighbours": 3, "soft_targets_kappa": 5.0},
}
ALL = {key: value for way in ("start", "both graphs", "codes", "soft targets") for key, value in WAYS[way].items()}
MODELS = [name + "_SDA" for name in [*BASE_MODELS, *MULTIMODAL]]


def step(built) -> float:
    """The loss of a step, after which the weights have changed."""
    model = built.model
    model.train()
    torch.manual_seed(5)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    loss = total(model.calculate_loss(copy.deepcopy(built.batch)))
    loss.backward()
    optimizer.step()
    return loss.item()


def table_of(built) -> torch.Tensor:
    table = getattr(built.model, getattr(built.model, "item_table", "item_embedding"))
    built.model.eval()
    with torch.no_grad():
        return table.weight[: built.model.n_items].clone()


@pytest.mark.parametrize("encoder", [PLAIN, {}], ids=["ids", "moda"])
@pytest.mark.parametrize("name", MODELS)
def test_all_ways_together_train_and_the_checkpoint_restores_the_items(build, name, encoder):
    """With soft targets, ENMF is refused: its batches have no target items."""
    keys = {**encoder, **ALL, "modalities": None}
    if name == "ENMF_SDA":
        with pytest.raises(InputError, match="soft_targets=0.3: ENMF trains on users"):
            step(build(name, **keys))
        keys["soft_targets"] = 0.0
    built = build(name, **keys)
    before = table_of(built)
    assert np.isfinite(step(built))
    after = table_of(built)
    assert not torch.equal(before, after) and after.isfinite().all()
    again = build(name, **keys)
    again.model.load_state_dict(built.model.state_dict())
    assert torch.equal(table_of(again), after)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["SASRec_SDA", "BPR_SDA", "VBPR_SDA", "LightGCN_SDA"])
def test_each_way_alone_changes_the_loss(build, name, way):
    plain, changed = build(name, **PLAIN), build(name, **{**PLAIN, **WAYS[way]})
    assert step(plain) != step(changed)


@pytest.mark.parametrize(
    "keys", [{}, {"softmax_negatives": 12}, {"fast_sequences": False}, {"train_mask_history": True}]
)
@pytest.mark.parametrize("name", ["SASRec_SDA", "GRU4Rec_SDA", "BERT4Rec_SDA", "NARM_SDA"])
def test_softmax_models_train_with_all_ways_under_every_loss(build, name, keys):
    built = build(name, **{**PLAIN, **ALL, **keys})
    assert np.isfinite(step(built))
    hard = build(name, **{**PLAIN, **ALL, **keys})
    hard.model.soft_targets.factor = 0.0
    assert step(hard) != pytest.approx(step(build(name, **{**PLAIN, **ALL, **keys})), rel=1e-7)


def content_of(built, **keys) -> IdContent:
    built = built
    config = built.config
    for key, value in keys.items():
        config[key] = value
    dataset, model = built.data.train._dataset, built.model
    frozen = model.items.features
    padded = [torch.cat([torch.zeros(1, matrix.shape[1]), matrix]) for matrix in frozen]
    present = torch.cat([torch.zeros(len(frozen), 1, dtype=torch.bool), model.items.present], dim=1)
    return IdContent(SDASettings.from_config(config), dataset, padded, present, built.model.feature_record["store"])


def test_start_is_the_scaled_principal_components_of_items_that_have_features(build):
    base, built = build("BPR").model, build("BPR_SDA", id_start="features", id_start_scale=3.0, encoder_scale=1.0)
    content, table = content_of(built), built.model.items.ids.weight.detach()
    plain = base.item_embedding.weight.detach()
    expected = 3.0 * plain[1:].std() * principal_components(content.vectors, content.present, table.shape[1])
    assert torch.allclose(table[content.present], expected[content.present], atol=1e-6)
    assert torch.equal(table[~content.present], plain[~content.present])  # no features: the base model's start
    assert 0 < (~content.present).sum() < len(plain)
    # the encoder keeps the scale of the base's table, which the start does not change
    encoded = built.model.items.encoder(built.model.items.features, built.model.items.present)[1]
    assert torch.isclose(encoded.std(), plain[1:].std(), rtol=1e-4)


@pytest.mark.parametrize("name, scale", [("SASRec_SDA", 5.0), ("BPR_SDA", 1.0)])
def test_start_of_both_adds_the_components_to_the_rows_of_the_base(build, name, scale):
    base, built = build(name.removesuffix("_SDA")).model, build(name, id_start="both", encoder_scale=1.0)
    content, table = content_of(built), built.model.items.ids.weight.detach()
    plain = base.item_embedding.weight.detach()
    added = (
        scale
        * plain[1 : len(content.present)].std()
        * principal_components(content.vectors, content.present, table.shape[1])
    )
    assert torch.allclose(table[: len(added)], plain[: len(added)] + added, atol=1e-6)  # zero is added without features
    assert torch.equal(table[~content.present], plain[~content.present]) and (~content.present).sum() > 0


def test_soft_targets_are_the_softmax_of_scaled_similarities_of_the_nearest(build):
    built = build(
        "SASRec_SDA", soft_targets=0.2, soft_targets_neighbours=4, soft_targets_scale=7.0, soft_targets_kappa=2.0
    )
    content, soft = content_of(built), built.model.soft_targets
    vectors = content_vectors([content.vectors], content.present.unsqueeze(0))
    similarity = vectors @ vectors.T
    similarity.fill_diagonal_(-1.0)
    counts = torch.from_numpy(built.data.train._dataset.training_counts.items).float()
    for item in range(1, built.model.n_items):
        nearest = similarity[item].topk(4)
        kept = nearest.indices[nearest.values > 0] if content.present[item] else nearest.indices[:0]
        chosen = soft.probabilities[item] > 0
        assert set(soft.neighbours[item][chosen].tolist()) == set(kept.tolist())
        expected = (7.0 * similarity[item][soft.neighbours[item][chosen]]).softmax(0)
        assert torch.allclose(soft.probabilities[item][chosen], expected, atol=1e-5)
        weight = 0.2 * 2.0 / (counts[item] + 2.0) if len(kept) else 0.0
        assert soft.weight[item].item() == pytest.approx(float(weight), rel=1e-5)


def test_smoothing_counts_training_interactions_alone(build):
    """Co-occurrence of the data set's training part: no validation or test item of a user."""
    built = build("SASRec_SDA", **{**PLAIN, "id_smoothing": 1.0, "id_graph": "cooccurrence", "id_neighbours": 50})
    matrix = built.model.items.id_rows.smoothing.graph.values.to_dense()
    train = built.data.train._dataset
    together = np.zeros((built.model.n_items,) * 2, bool)
    fields = train.inter_feat
    histories = {}
    for user, item, row in zip(fields["user_id"], fields["item_id"], fields["item_id_list"]):
        histories.setdefault(int(user), set()).update([int(item), *row.tolist()])
    for items in histories.values():
        for i in items - {0}:
            for j in items - {0}:
                together[i, j] |= i != j
    assert torch.equal(matrix > 0, torch.from_numpy(together))
    assert torch.allclose(matrix.sum(dim=1)[1:], torch.from_numpy(together.any(axis=1)[1:]).float(), atol=1e-5)


def test_the_weight_of_soft_targets_decreases_over_the_epochs(build):
    model = build("SASRec_SDA", **{**PLAIN, "soft_targets": 0.2, "soft_targets_epochs": 4}).model
    factors = []
    for epoch in (0, 1, 4, 9):
        model.before_epoch(epoch)
        factors.append(model.soft_targets.factor)
    assert factors == [1.0, 0.75, 0.0, 0.0]


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"id_bound": 0.5, "id_start": "random"}, "id_bound=0.5 needs id_start=features"),
        ({"id_bound": 0.5, "id_start": "both"}, "id_bound=0.5 needs id_start=features"),
        ({"id_start": "pca"}, "id_start='pca'"),
        ({"id_codes": [4, 0]}, "id_codes=0: expected a whole number at least 1"),
        ({"id_codes": []}, "at least one whole number"),
        ({"id_codes": [99]}, "residual codes: level 1 has size 99"),
        ({"soft_targets": 1.0}, "soft_targets=1.0: expected a number at least 0 and below 1"),
        ({"id_graph": "content,cooccurrence"}, "id_graph"),
        ({"id_smoothing": 0.5, "id_embedding": "none"}, "id_smoothing=0.5 needs an id table"),
    ],
)
def test_wrong_values_are_named(build, keys, message):
    with pytest.raises(InputError, match=message):
        build("SASRec_SDA", **keys)


@pytest.mark.parametrize("keys", [{}, {"softmax_negatives": 12}, {"logit_temperature": 0.5}])
@pytest.mark.parametrize("name", ["SASRec_SDA", "BERT4Rec_SDA"])
def test_only_targets_train_the_encoder_and_the_loss_is_the_same(build, name, keys):
    """The gradient of the encoder equals that of a loss whose other items are constants, as on the side of the histories."""
    gradients, losses = [], []
    for gradient in ("all", "targets"):
        built = build(name, cmsa_weight=0.0, encoder_gradient=gradient, **keys)
        built.model.eval()  # no dropout
        built.model.items.training = True
        torch.manual_seed(5)
        loss = total(built.model.calculate_loss(copy.deepcopy(built.batch)))
        loss.backward()
        losses.append(loss.item())
        ids = built.model.items.ids.weight.grad.to_dense()
        gradients.append((ids, built.model.items.encoder.shared.weight.grad))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert torch.allclose(gradients[0][0], gradients[1][0], atol=1e-5)  # id rows learn from all scores
    assert not torch.allclose(gradients[0][1], gradients[1][1], atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_encoder_gradient_of_targets_is_that_of_constant_negatives(build, weight):
    """Soft targets are targets too: their scores train the encoder, in proportion to their probability."""
    built = build("SASRec_SDA", cmsa_weight=0.0, encoder_gradient="targets", soft_targets=weight)
    model = built.model
    model.eval()
    model.items.training = True
    loss = total(model.calculate_loss(copy.deepcopy(built.batch)))
    ours = torch.autograd.grad(loss, model.items.encoder.shared.weight)[0]
    with model.items.step():
        hidden, targets, _ = model._training_outputs(copy.deepcopy(built.batch))
        labels = torch.nn.functional.one_hot(targets, model.n_items).float()
        if weight > 0:
            soft = model.soft_targets
            teacher = torch.zeros_like(labels).scatter_add_(1, soft.neighbours[targets], soft.probabilities[targets])
            labels = labels + soft.weight[targets].unsqueeze(1) * (teacher - labels)
        target_scores = (labels * (hidden @ model.items.weight.T)).sum(dim=1)
        expected = (torch.logsumexp(hidden @ model.items.fixed().T, dim=1) - target_scores).mean()
        theirs = torch.autograd.grad(expected, model.items.encoder.shared.weight)[0]
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_encoder_gradient_needs_the_softmax_of_this_package(build):
    with pytest.raises(InputError, match="encoder_gradient=targets: BPR_SDA"):
        build("BPR_SDA", encoder_gradient="targets")


@pytest.mark.parametrize("start", ["features", "both"])
def test_users_of_general_models_start_at_the_mean_row_of_their_training_items_with_features(build, start):
    base, built = build("BPR").model, build("BPR_SDA", **{**PLAIN, "id_start": start, "id_start_scale": 2.0})
    items, users = built.model.items.ids.weight.detach(), built.model.user_embedding.weight.detach()
    rows = content_of(build("BPR_SDA")).present.unsqueeze(1) * items
    pairs = built.data.train._dataset.inter_feat
    means = torch.zeros_like(users)
    for user in range(1, len(users)):
        chosen = pairs["item_id"][pairs["user_id"] == user]
        means[user] = rows[chosen].mean(dim=0) if len(chosen) else 0.0
    expected = means * (2.0 * base.user_embedding.weight[1:].std() / means[1:].std())
    assert torch.allclose(users[1:], expected[1:].detach(), atol=1e-5)
    assert torch.equal(users[0], base.user_embedding.weight[0])


def test_of_a_wider_table_of_users_the_columns_of_the_items_rows_start_at_content(build):
    base, model = build("VBPR").model, build("VBPR_SDA", **{**PLAIN, "id_start": "features"}).model
    width = model.item_embedding.weight.shape[1]
    before, after = base.user_embedding.weight.detach(), model.user_embedding.weight.detach()
    assert before.shape[1] == 2 * width and torch.equal(before[:, width:], after[:, width:])
    spread = before[1:, :width].std()
    changed = (before[:, :width] != after[:, :width]).any(dim=1)
    assert changed.sum() > 1 and torch.allclose(after[changed, :width].std(), spread, rtol=1e-3)
    items = model.item_embedding.weight.detach()[1:]
    assert items.std() < 1.5 * base.item_embedding.weight[1:].std()  # not five times, as where users start at random


@pytest.mark.parametrize("name", ["BPR_SDA", "TransRec_SDA"])
def test_a_step_of_few_items_encodes_the_drawn_targets_that_cmsa_aligns(build, name):
    built = build(name, soft_targets=0.9, train_batch_size=3)
    seen, cmsa = [], built.model._cmsa
    built.model._cmsa = lambda loss, items: seen.append(items) or cmsa(loss, items)
    assert np.isfinite(step(built))
    allowed = built.model.soft_targets.neighbours[built.batch["item_id"]].flatten().tolist()
    assert set(seen[0].tolist()) <= {*allowed, *built.batch["item_id"].tolist()}


def test_bert4rec_with_the_bpr_loss_draws_the_targets_of_its_masks(build):
    negatives = {"distribution": "uniform", "sample_num": 1}
    keys = {"soft_targets": 0.9, "loss_type": "BPR", "train_neg_sample_args": negatives}
    built = build("BERT4Rec_SDA", **{**PLAIN, **keys})
    soft = step(built)
    built = build("BERT4Rec_SDA", **{**PLAIN, **keys})
    built.model.soft_targets.factor = 0.0
    assert soft != step(built)


@pytest.mark.parametrize("start", ["features", "both"])
@pytest.mark.parametrize("name", ["SASRec_SDA", "BPR_SDA"])
def test_features_that_do_not_differ_are_no_start(build, write_tiny, tmp_path, name, start, caplog):
    store = FeatureStore(write_tiny(tmp_path) / "features" / "random")
    n = len(store.item_ids)
    write_store(store.path, store.item_ids, {"text": np.ones((n, 3), np.float32)}, {}, overwrite=True)
    keys = {**PLAIN, "id_start": start, "feature_views": [], "data_path": str(tmp_path)}
    table = build(name, **keys).model.items.ids.weight
    assert "the features of all items are the same; the id table starts at random" in caplog.text
    assert torch.equal(table, build(name, **{**keys, "id_start": "random"}).model.items.ids.weight)
    with pytest.raises(InputError, match="id_bound=0.5: the features of all items are the same"):
        build(name, **{**keys, "id_start": "features"}, id_bound=0.5)


@pytest.mark.parametrize("name", ["VBPR_SDA", "BM3_SDA"])
def test_multimodal_models_have_an_id_table_under_the_preset_that_has_none_elsewhere(build, name):
    built = build(name, preset="paper", id_start="features", id_smoothing=0.5, id_codes=[3])
    assert np.isfinite(step(built))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_users_keep_their_rows_where_no_or_one_user_has_an_item_with_content(build, monkeypatch, recwarn, value):
    built = build("BPR_SDA")
    monkeypatch.setattr(id_content, "training_pairs", lambda dataset: (np.array([1, 2]), np.array([3, 4])))
    content = torch.zeros(built.model.n_items, 1)
    content[3] = value
    users = torch.nn.Embedding(built.model.n_users, 1)
    before = users.weight.detach().clone()
    content_of(built)._start_users(users, content, 1.0)
    assert torch.equal(users.weight, before)
    assert not [warning for warning in recwarn if "degrees of freedom" in str(warning.message)]
