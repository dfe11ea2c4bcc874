"""Items without training interactions, in every model that reads features."""

import copy

import numpy as np
import pytest
import torch
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import init_seed
from torch.nn import functional as F

from recbole_sda.data.datasets import Counts
from recbole_sda.data.user_histories import histories, inference_batch
from recbole_sda.features.content import content_vectors
from recbole_sda.layers.content_rows import Completion
from recbole_sda.model.completed_items import KAPPA, NEIGHBOURS, SCALE, TrainedContent, complete_cold_items
from recbole_sda.model.item_features import align_item_features
from recbole_sda.model.model_table import BASE_MODELS, MULTIMODAL
from recbole_sda.model.settings import FeatureSettings

from ..conftest import WAYS_OFF

MODELS = [*(name + "_SDA" for name in [*BASE_MODELS, *MULTIMODAL]), *MULTIMODAL]
SCORES_ALL = [name for name in MODELS if name != "ConvNCF_SDA"]  # which scores single items only
COLD = 9


@pytest.fixture
def model_of(build):
    """A function that returns a model in evaluation mode, with id rows of different directions and biases.

    New rows are as long as those of their neighbours, so that a copy has the scores of its original.
    """

    def make(name, **keys):
        built = build(name, cold_item_scale=1.0, **keys)
        model, generator = built.model, torch.Generator().manual_seed(1)
        bias = getattr(model, getattr(model, "bias_attribute", ""), None)
        if bias is not None:
            values = getattr(bias, "weight", bias)
            values.data.normal_(generator=generator)
        model.eval()
        return built

    return make


@torch.no_grad()
def scores(built, users=None):
    """Scores of all items for all users, histories cut to the items of the tiny data set."""
    users = np.arange(1, 44) if users is None else users
    batch = inference_batch(built.config, users, histories(built.config))
    torch.manual_seed(1)
    return built.model.full_sort_predict(batch).view(len(users), -1)


def features_of(built):
    """The features of all items of the tiny data set, and which are present."""
    _, aligned = align_item_features(built.config, built.data.train._dataset, FeatureSettings.from_config(built.config))
    return [aligned.matrices[name] for name in aligned.modalities], aligned.present


def copies_of(built, items, noise=0.0):
    """A completion with one new item per item, of (nearly) the same features."""
    matrices, present = features_of(built)
    generator = torch.Generator().manual_seed(3)
    new = [x[items] * (1 + noise * torch.randn(x[items].shape, generator=generator)) for x in matrices]
    rows = TrainedContent.of(built.config, built.data.train._dataset).rows(content_vectors(new, present[:, items]))
    with torch.no_grad():
        return Completion(rows, own=built.model.content_part(new, present[:, items]))


def ranks(values):
    return values.argsort(dim=1, descending=True).argsort(dim=1)


@pytest.mark.parametrize("name", SCORES_ALL)
def test_a_near_copy_of_a_trained_item_ranks_beside_it(model_of, name):
    """Of 45 items; and everything is as before once the new items are gone."""
    built = model_of(name)
    items = torch.tensor([3, 5, 8])
    state = copy.deepcopy(built.model.state_dict())
    before = scores(built)
    with built.model.completed(copies_of(built, items, noise=0.01)):
        inside = scores(built)
    n_items = built.model.n_items
    assert inside.shape[1] - before.shape[1] == len(items) + (name == "BERT4Rec_SDA")  # a column of its mask token
    torch.testing.assert_close(inside[:, : before.shape[1]], before)  # up to the order of sums in a wider product
    kept = torch.cat([inside[:, 1:n_items], inside[:, -len(items) :]], dim=1)
    difference = (ranks(kept)[:, -len(items) :] - ranks(kept)[:, items - 1]).abs().float()
    assert difference.mean() < 2.5, difference.mean()
    assert torch.equal(scores(built), before)
    assert built.model.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in built.model.state_dict().items())


def make_cold(built, item=COLD):
    """Let the data set of a model have a cold item, as a split that leaves it without training interactions."""
    dataset = copy.copy(built.data.train._dataset)
    items = dataset.training_counts.items.copy()
    items[item] = 0
    dataset.training_counts = Counts(dataset.training_counts.users, items)
    dataset.absent_items = np.array([item])
    complete_cold_items(built.model, built.config, dataset)
    return dataset


@pytest.mark.parametrize("name", SCORES_ALL)
def test_cold_items_are_scored_by_their_neighbours_in_evaluation(model_of, name):
    built = model_of(name)
    known = histories(built.config)
    users = np.array([user for user in range(1, 44) if COLD not in known.of(user)])
    before, loss = scores(built, users), first_loss(built)
    dataset = make_cold(built)
    built.model.train().eval()  # discards what evaluation has stored
    if built.model.item_caches[:1] == ("restore_user_e",):
        built.model.restore_user_e = None  # as a training step does
    after = scores(built, users)
    others = [item for item in range(1, built.model.n_items) if item != COLD]
    if name != "SimpleX_SDA":  # whose users are made of all training items
        torch.testing.assert_close(after[:, others], before[:, others])
    assert not torch.allclose(after[:, COLD], before[:, COLD])
    assert torch.equal(first_loss(built), loss)
    twin = int(TrainedContent.of(built.config, dataset).rows(content(built)[[COLD]]).index[0, 0])
    assert twin != COLD


def content(built):
    return content_vectors(*features_of(built))


def first_loss(built):
    """The loss of the first batch in training mode."""
    init_seed(0, True)
    model = built.model.train()
    loss = model.calculate_loss(copy.deepcopy(built.batch))
    model.eval()
    return (sum(loss) if isinstance(loss, tuple) else loss).detach()


def test_a_model_that_scores_single_items_has_rows_for_cold_items(model_of):
    built = model_of("ConvNCF_SDA")
    with torch.no_grad():
        before = built.model.items.weight.clone()
        make_cold(built)
        built.model.train().eval()
        after = built.model.items.weight
    changed = (before != after).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [COLD]
    assert (
        type(built.model).full_sort_predict is AbstractRecommender.full_sort_predict
    )  # by which loaders know such a model


@pytest.mark.parametrize("name, keys", [("SASRec", {}), ("BPR", {}), ("SASRec_SDA", WAYS_OFF)])
def test_nothing_changes_without_cold_items_or_without_features(model_of, name, keys):
    if keys:
        keys = {**keys, "item_encoder": "identity", "cmsa_weight": 0.0}
    built = model_of(name, **keys)
    before = scores(built)
    make_cold(built)
    assert torch.equal(scores(built), before)
    other = model_of("BPR_SDA")
    complete_cold_items(other.model, other.config, other.data.train._dataset)
    assert other.model.completions == []


def test_features_alone_need_no_neighbours(model_of):
    """With id_embedding: none, cold items keep their rows bit for bit, and copies of items have their rows."""
    built = model_of("SASRec_SDA", id_embedding="none", id_start="random", id_smoothing=0.0, soft_targets=0.0)
    before = scores(built)
    with built.model.completed(copies_of(built, torch.tensor([3]))):
        torch.testing.assert_close(scores(built)[:, -1], before[:, 3])
    make_cold(built)
    built.model.train().eval()
    assert torch.equal(scores(built), before)


def test_cold_items_without_features_and_the_padding_item_keep_their_rows(model_of):
    built = model_of("BPR_SDA", modalities=["image"])
    _, present = features_of(built)
    blank = int((~present[0, 1:]).nonzero()[0]) + 1
    with torch.no_grad():
        before = built.model.items.weight.clone()
        make_cold(built, blank)
        assert built.model.completions == []
        make_cold(built, int(present[0, 1:].nonzero()[0]) + 1)
        built.model.train().eval()
        assert torch.equal(built.model.items.weight[[0, blank]], before[[0, blank]])


def test_neighbours_equal_a_loop(build):
    """Weights by the formula, trained items only."""
    rng = torch.Generator().manual_seed(0)
    vectors = F.normalize(torch.randn(40, 6, generator=rng), dim=1)
    vectors[[0, 7]] = 0
    counts = torch.randint(0, 9, (40,), generator=rng)
    counts[7] = 5
    queries = torch.randn(3, 6, generator=rng)
    rows = TrainedContent(vectors, counts).rows(queries)
    for query, index, weight in zip(queries, rows.index.tolist(), rows.weight):
        cosine = {
            j: float(F.cosine_similarity(query, vectors[j], dim=0)) for j in range(40) if counts[j] and j not in (0, 7)
        }
        nearest = sorted(cosine, key=lambda j: -cosine[j])[:NEIGHBOURS]
        assert index == nearest
        n = counts[nearest].double()
        expected = torch.tensor([SCALE * cosine[j] for j in nearest], dtype=torch.float64).exp() * n / (n + KAPPA)
        torch.testing.assert_close(weight.double(), expected / expected.sum(), atol=1e-5, rtol=1e-4)
        assert (weight > 0).all() and abs(float(weight.sum()) - 1) < 1e-5
