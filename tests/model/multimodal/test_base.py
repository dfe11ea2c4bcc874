"""The contract of all multimodal models: the base class and the SDA version."""

import copy

import numpy as np
import pytest
import torch
from recbole.utils import init_seed

from recbole_sda.errors import InputError
from recbole_sda.model.model_table import MULTIMODAL
from recbole_sda.model.multimodal.base import per_modality

from ...conftest import WAYS_OFF
from ..conftest import total

IDENTITY = {"item_encoder": "identity", "cmsa_weight": 0.0, **WAYS_OFF}
NAMES = list(MULTIMODAL)


def scores(built):
    built.model.eval()
    with torch.no_grad():
        return built.model.full_sort_predict(next(iter(built.data.valid))[0])


@pytest.mark.parametrize("name", NAMES)
def test_identity_encoder_equals_the_base_bit_for_bit(build, name):
    """Same losses over three steps of Adam, same weights, same scores."""
    pair, losses = [build(name), build(f"{name}_SDA", **IDENTITY)], []
    for built in pair:
        init_seed(5, True)
        built.model.train()
        optimizer = torch.optim.Adam(built.model.parameters(), lr=1e-2)
        for _ in range(3):
            if hasattr(built.model, "before_epoch"):
                built.model.before_epoch(0)
            optimizer.zero_grad()
            loss = total(built.model.calculate_loss(copy.deepcopy(built.batch)))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[:3] == losses[3:] and losses[0] > losses[2]
    base, ours = (built.model.state_dict() for built in pair)
    assert base.keys() == ours.keys() and all(torch.equal(base[key], ours[key]) for key in base)
    assert torch.equal(*map(scores, pair))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_weight(build, name):
    """Of the base model, and of the encoder once its experts are not zero; CMSA is a separate named term."""
    for suffix in ("", "_SDA"):
        built = build(name + suffix)
        model = built.model
        model.train()
        if suffix:
            torch.nn.init.normal_(model.items.encoder.experts.lora_B)
        loss = model.calculate_loss(built.batch)
        if suffix:
            assert model.loss_names == ("recommendation", "cmsa")
            loss = loss[0]
        loss.backward()
        for key, parameter in model.named_parameters():
            # a shared bias cancels where only differences of items count
            if not key.endswith((".missing_embedding", "cmsa.temperature", "shared.bias")):
                assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", NAMES)
def test_features_matter(build, name):
    """Training on other items' features gives other scores."""
    result = []
    for shuffled in (False, True):
        built = build(name, shuffle_features=shuffled)
        optimizer = torch.optim.SGD(built.model.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            init_seed(1, True)
            built.model.calculate_loss(built.batch).backward()
            optimizer.step()
        result.append(scores(built))
    assert not torch.allclose(*result)


@pytest.mark.parametrize("modalities", [["image"], ["text"]])
@pytest.mark.parametrize("name", NAMES)
def test_one_modality_is_enough(build, name, modalities):
    for suffix in ("", "_SDA"):
        built = build(name + suffix, modalities=modalities)
        loss = total(built.model.calculate_loss(built.batch))
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(scores(built)).all()
        assert built.model.modality_names == tuple(modalities)


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_holds_weights_alone_and_restores_scores(build, name):
    first, second = build(f"{name}_SDA"), build(f"{name}_SDA", seed=11)
    with torch.no_grad():
        for parameter in first.model.parameters():
            parameter.add_(0.01)
    assert not any("features_" in key or "graph" in key for key in first.model.state_dict())
    scores(second)
    second.model.load_state_dict(first.model.state_dict())
    assert torch.equal(scores(first), scores(second))


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_computes_the_embeddings_once(build, name):
    built, calls = build(name), []
    compute = built.model.embeddings
    built.model.embeddings = lambda: calls.append(1) or compute()
    scores(built)
    model, batch = built.model, next(iter(built.data.valid))[0]
    whole = model.full_sort_predict(batch).view(len(batch), -1)
    assert len(calls) == 1
    item = torch.full((len(batch),), 3)
    torch.testing.assert_close(model(batch[model.USER_ID], item), whole[:, 3])
    built.model.train()
    scores(built)
    assert len(calls) == 2
    model.double()
    assert model.full_sort_predict(batch).dtype == torch.float64
    model.float()


def test_a_change_of_a_missing_feature_changes_nothing(build):
    """Rows that are marked missing are never read."""
    built = build("VBPR")
    features, present = built.model.item_features, built.model.item_features.present
    assert not present[0].all() and not present[:, 0].any()
    for m, matrix in enumerate(features.frozen()):
        assert not matrix[~present[m]].any()


def test_numbers_are_checked(build):
    with pytest.raises(InputError, match="dropout=1.0: expected a number at least 0 and below 1"):
        build("FREEDOM", dropout=1.0)
    with pytest.raises(InputError, match="knn_k=0: expected a whole number at least 1"):
        build("MGCN", knn_k=0)
    with pytest.raises(InputError, match="modality_weights=.*expected a number for each of image, text"):
        build("FREEDOM", modality_weights={"image": 1.0})
    with pytest.raises(InputError, match="modality_weights=.*'sound'.*expected a number for each of image, text"):
        build("FREEDOM", modality_weights={"image": 1.0, "text": 1.0, "sound": 1.0})
    with pytest.raises(InputError, match="modality_weights: text='much': expected a number at least 0"):
        build("FREEDOM", modality_weights={"image": 1.0, "text": "much"})
    with pytest.raises(InputError, match="knn_k=.*one for each of the modalities image, text"):
        build("SMORE", knn_k={"image": 3})
    with pytest.raises(InputError, match="knn_k='x': expected a whole number at least 1"):
        build("FREEDOM", knn_k={"image": 3, "text": "x"})


def test_per_modality():
    assert per_modality(3, ("a", "b"), "k") == [3, 3] and per_modality({"b": 1, "a": 2}, ("a", "b"), "k") == [2, 1]
    assert per_modality({"b": 1, "a": 2}, ("b",), "k") == [1]  # as published settings, on text alone
    with pytest.raises(InputError, match="k={'a': 1}"):
        per_modality({"a": 1}, ("a", "b"), "k")


def test_distinct_pairs_of_the_training_part(build):
    built = build("VBPR")
    users = built.data.train.dataset.inter_feat["user_id"].numpy()
    items = built.data.train.dataset.inter_feat["item_id"].numpy()
    assert set(zip(users, items)) == set(zip(built.model.edges.users, built.model.edges.items))
    assert np.all(built.model.edges.items > 0)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_in_half_precision(build, name):
    """Where an item lacks a modality, or hyperedges drop all of a node's memberships, rows are zero before they are normalised."""
    built = build(name, **({"latent_size": 4} if name == "MMGCN" else {}))
    for _ in range(3):
        with torch.autocast("cpu", dtype=torch.float16):
            loss = total(built.model.calculate_loss(copy.deepcopy(built.batch)))
        loss.backward()
    assert all(p.grad.isfinite().all() for p in built.model.parameters() if p.grad is not None)
