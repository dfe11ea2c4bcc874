"""What the mixin adds to a model of RecBole: switches, scale at the start, the encoder's parameters."""

import pytest
import torch

from ..conftest import WAYS_OFF
from .conftest import encoded_sizes, loss_of


@pytest.mark.parametrize("encoder", ["moda", "linear"])
@pytest.mark.parametrize("ids", ["add", "none"])
@pytest.mark.parametrize("modalities", [["image"], ["text"], ["text", "image"]])
@pytest.mark.parametrize("fusion", ["mean", "concat", "gated"])
def test_every_switch_trains(build, encoder, ids, modalities, fusion):
    keys = dict(item_encoder=encoder, id_embedding=ids, modalities=modalities, fusion=fusion)
    model, _, batch, _ = vars(build("SASRec_SDA", **keys)).values()
    terms = model.calculate_loss(batch)
    assert model.modality_names == tuple(modalities) and model.loss_names == ("recommendation", "cmsa")
    assert (terms[1] > 0) == (len(modalities) == 2)
    sum(terms).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_the_recommendation_loss_is_that_of_the_base_on_the_encoded_table(build):
    """A plain SASRec with the encoded embeddings as its table has the same loss."""
    ours, base = build("SASRec_SDA", id_embedding="none"), build("SASRec")
    state = {k: v for k, v in ours.model.state_dict().items() if not k.startswith(("item_embedding", "cmsa"))}
    base.model.load_state_dict({**state, "item_embedding.weight": ours.model.items.weight.detach()})
    torch.testing.assert_close(loss_of(ours)[0], loss_of(base))


@pytest.mark.parametrize("encoder", ["moda", "linear"])
def test_the_encoder_starts_at_the_scale_of_the_table(build, encoder):
    base = build("SASRec").model.item_embedding.weight[1:]
    table = build("SASRec_SDA", id_embedding="none", item_encoder=encoder).model.eval().items.weight[1:]
    assert table.std().item() == pytest.approx(base.std().item(), rel=0.01)


def test_same_seed_same_encoder_and_the_base_draws_what_it_drew(build):
    one, other = (build("SASRec_SDA", **WAYS_OFF).model for _ in range(2))
    base = build("SASRec").model
    assert torch.equal(one.items.encoder.shared.weight, other.items.encoder.shared.weight)
    assert torch.equal(one.items.ids.weight, base.item_embedding.weight)


def test_paper_preset_trains(build):
    built = build("SASRec_SDA", preset="paper")
    assert torch.is_tensor(loss_of(built)) and built.model.items.ids is None
    assert type(built.model.items.encoder).__name__ == "LinearItemEncoder"


@pytest.mark.parametrize("name", ["BPR_SDA", "TransRec_SDA"])
def test_a_step_of_few_items_gives_the_loss_and_gradients_of_all_items(build, name):
    """Models whose step looks up the items of its batch alone encode no others."""
    results = []
    for step_items in (None, ()):
        built = build(name, train_batch_size=4)
        model = built.model.eval()
        if step_items is not None:
            model.step_items = step_items
        sizes = encoded_sizes(model)
        loss = model.calculate_loss(built.batch)
        sum(loss).backward()
        results.append((sizes[0], loss, [p.grad for p in model.parameters() if p.grad is not None]))
    assert results[0][0] < results[1][0] == model.n_items - 1
    torch.testing.assert_close(results[0][1:], results[1][1:])


@pytest.mark.parametrize("model", ["SASRec_SDA", "BERT4Rec_SDA", "BPR_SDA"])
def test_id_embeddings_are_shrunk_by_training_interactions(build, model):
    built = build(model, id_shrinkage=3.0)
    count = torch.from_numpy(built.data.counts.items).float()
    torch.testing.assert_close(built.model.items.id_rows.weight[: len(count), 0], count / (count + 3))


MODA = {
    "missing_embedding", "shared.weight", "experts.lora_A", "experts.lora_B",
    "experts.gate.embedding.weight", "experts.gate.projection.weight",
}  # fmt: skip


@pytest.mark.parametrize("name", ["SASRec_SDA", "SimpleX_SDA", "FREEDOM_SDA"])
@pytest.mark.parametrize(
    "encoder, expected", [("moda", MODA), ("linear", {"missing_embedding", "first.weight", "second.weight"})]
)
def test_encoder_lr_factor_is_of_the_matrices_of_the_encoder(build, name, encoder, expected):
    """Of all matrices and of no other parameter: neither biases nor temperature nor weights of the base model."""
    model = build(name, item_encoder=encoder, encoder_lr_factor=0.25).model
    weights = {id(parameter) for parameter in model.items.encoder_weights()}
    names = {key for key, parameter in model.named_parameters() if id(parameter) in weights}
    assert model.settings.encoder_lr_factor == 0.25
    assert len(weights) == len(names) and {key.partition(".encoder.")[2] for key in names} == expected


@pytest.mark.parametrize("name", ["SASRec_SDA", "FREEDOM_SDA"])
def test_the_identity_encoder_has_no_learning_rate_of_its_own(build, name):
    assert build(name, item_encoder="identity", cmsa_weight=0.0).model.items.encoder_weights() == []
