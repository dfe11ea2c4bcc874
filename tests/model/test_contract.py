"""The contract of every model of the registry: the base model with another item table, and nothing else changed."""

import copy

import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.utils import init_seed

from recbole_sda.model.model_table import BASE_MODELS

from ..conftest import WAYS_OFF
from .conftest import encoded_sizes, total

MODELS = [name + "_SDA" for name in BASE_MODELS]
IDENTITY = {"item_encoder": "identity", "cmsa_weight": 0.0, **WAYS_OFF}


def scores(model, data):
    """Scores of the first evaluation batch, by full sort or, for models without it, by `predict`."""
    model.eval()
    batch = next(iter(data.valid))[0]
    torch.manual_seed(1)
    with torch.no_grad():
        try:
            return model.full_sort_predict(batch)
        except NotImplementedError:
            batch = copy.deepcopy(batch)
            batch.update(Interaction({model.ITEM_ID: torch.ones(len(batch), dtype=torch.long)}))
            return model.predict(batch)


@pytest.mark.parametrize("name", MODELS)
def test_identity_encoder_equals_the_base_bit_for_bit(build, name):
    """Same loss, same gradients after two steps, same scores."""
    pair = [build(name.removesuffix("_SDA")), build(name, **IDENTITY)]
    losses = []
    for model, _, batch, _ in (vars(part).values() for part in pair):
        init_seed(5, True)
        model.train()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(2):
            optimizer.zero_grad()
            loss = total(model.calculate_loss(copy.deepcopy(batch)))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    base, ours = (part.model for part in pair)
    assert losses[0] != losses[1]
    assert losses[:2] == losses[2:]
    table = BASE_MODELS[name.removesuffix("_SDA")].item_table
    renamed = {key.replace(f"{table}.ids.", f"{table}."): value for key, value in ours.state_dict().items()}
    for key, value in base.state_dict().items():
        assert torch.equal(value, renamed[key]), key
    assert torch.equal(scores(base, pair[0].data), scores(ours, pair[1].data))


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_the_encoder_and_the_losses(build, name):
    """With features alone, the recommendation loss trains the encoder; CMSA enters as its own named term."""
    built = build(name, id_embedding="none", moda_rank=8)
    model = built.model
    model.train()
    torch.nn.init.normal_(model.items.encoder.experts.lora_B)  # at zero, A has no gradient yet
    loss = model.calculate_loss(built.batch)
    assert model.loss_names[-1] == "cmsa" and len(loss) == len(model.loss_names)
    sum(loss[:-1]).backward()
    for parameter in ("shared.weight", "experts.lora_A", "experts.lora_B", "experts.gate.projection.weight"):
        gradient = model.items.encoder.get_parameter(parameter).grad
        assert gradient is not None and gradient.abs().sum() > 0, parameter


@pytest.mark.parametrize("name", MODELS)
def test_all_items_are_encoded_once_per_step_and_once_per_evaluation(build, name):
    model, data, batch, _ = vars(build(name)).values()
    calls = encoded_sizes(model)
    model.train()
    model.calculate_loss(batch)
    assert len(calls) == 1
    scores(model, data), scores_again(model, data)
    assert len(calls) == 2
    model.train()
    model.calculate_loss(batch)
    assert len(calls) == 3


def scores_again(model, data):
    """Score without `eval()`, which would discard the stored embeddings; SDA must not encode again."""
    assert not model.training
    with torch.no_grad():
        return model.items(torch.arange(3)), model.items.weight


@pytest.mark.parametrize("name", MODELS)
def test_state_dict_round_trip(build, name):
    """Weights alone, without features, bring a fresh model to the same scores."""
    first, second = build(name), build(name, seed=11)
    one, other = first.model, second.model
    one.items.encoder.shared.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    assert not any("features" in key for key in one.state_dict())
    scores(other, second.data)  # fills the store of `other`
    other.load_state_dict(one.state_dict())
    other.load_other_parameter(one.other_parameter())
    assert torch.equal(other.items.weight, one.items.weight)
    if not name.startswith("SGL"):  # its graphs are drawn at random when it enters training
        assert torch.equal(scores(one, first.data), scores(other, second.data))


@pytest.mark.parametrize("name", MODELS)
def test_padding_row_and_rows_beyond_the_items(build, name):
    model = build(name, id_embedding="none").model
    weight = model.items.weight
    assert weight.shape[0] == model.items.num_embeddings
    assert torch.equal(weight[0], torch.zeros_like(weight[0]))
    extra = weight.shape[0] - model.n_items
    assert extra == (1 if name == "BERT4Rec_SDA" else 0)


@pytest.mark.parametrize("name", MODELS)
def test_no_second_item_table_is_left_behind(build, name):
    """No further trained matrix has a row or column per item; biases, one value per item, are allowed."""
    model = build(name, id_embedding="none").model
    n_items = model.n_items
    for key, value in model.named_parameters():
        if key.startswith(f"{model.item_table}."):
            continue
        sizes = [size for size in value.shape if size in (n_items, n_items + 1)]
        assert not sizes or value.numel() <= n_items + 1, f"{key} {tuple(value.shape)}"
