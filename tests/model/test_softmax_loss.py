"""Blocked and sampled cross entropy of whole models, against RecBole's own losses."""

import copy

import pytest
import torch

from recbole_sda.engine import experiment
from recbole_sda.engine.trainer import make_trainer
from recbole_sda.model.model_table import BASE_MODELS
from recbole_sda.model.registry import plain_model

from ..conftest import WAYS_OFF
from .conftest import encoded_sizes

SOFTMAX_ALONE = {"cmsa_weight": 0.0, "soft_targets": 0.0}
COVERED = [name for name, row in BASE_MODELS.items() if row.loss != "own"]


def loss_and_gradients(model, batch):
    model.eval()
    model.zero_grad()
    loss = model.calculate_loss(copy.deepcopy(batch))
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", COVERED)
def test_loss_and_gradients_equal_recboles(build, name):
    built = build(name, fast_sequences=False)
    own = plain_model(name)(built.config, built.data.train._dataset)
    own.load_state_dict(built.model.state_dict())
    theirs, their_gradients = loss_and_gradients(own, built.batch)
    ours, our_gradients = loss_and_gradients(built.model, built.batch)
    assert torch.equal(ours, theirs)  # switched off: RecBole's class, bit for bit
    built.model._is_softmax = built.model._is_changed = True
    ours, our_gradients = loss_and_gradients(built.model, built.batch)
    torch.testing.assert_close(ours, theirs)
    assert our_gradients.keys() == their_gradients.keys()
    for key, value in their_gradients.items():
        message = f"{key}: {{}}".format
        torch.testing.assert_close(our_gradients[key], value, rtol=1e-3, atol=1e-6, msg=message)


@pytest.mark.parametrize("name", COVERED)
@pytest.mark.parametrize("proposal", ["uniform", "popularity"])
def test_many_sampled_items_give_the_loss_over_all(build, name, proposal):
    """Except for the padding row, which RecBole scores like an item; the expected loss leaves it out."""
    sampled = build(name, softmax_negatives=200_000, softmax_proposal=proposal)
    whole = build(name)
    row = torch.full_like(whole.model.item_embedding.weight[0], 0.0)
    for model in (sampled.model, whole.model):
        model.item_embedding.weight.data[0] = row
    ours = sampled.model.eval().calculate_loss(sampled.batch)
    hidden, targets, _ = whole.model.eval()._training_outputs(whole.batch)
    scores = hidden @ whole.model._training_table()[1:].T
    torch.testing.assert_close(ours, torch.nn.functional.cross_entropy(scores, targets - 1), rtol=2e-3, atol=0)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("ways", [WAYS_OFF, {"id_neighbours": 2}], ids=["off", "default"])
@pytest.mark.parametrize("name", [name + "_SDA" for name in COVERED])
def test_a_sampled_step_encodes_and_updates_the_rows_of_its_batch_alone(build, name, ways, sparse, tmp_path):
    """With smoothing, which is a default, also the id rows of their neighbours, which it averages."""
    built = build(name, softmax_negatives=3, train_batch_size=3, sparse_updates=sparse, **ways)
    if name == "BERT4Rec_SDA":
        built.batch[built.model.MASK_INDEX].fill_(1)
    model = built.model
    trainer = make_trainer(built.config, model, tmp_path)
    encoded, encode_only, asked = encoded_sizes(model), model.items.encode_only, []
    model.items.encode_only = lambda ids: asked.append(ids.unique()) or encode_only(ids)
    table = model.items.ids.weight
    before = table.detach().clone()
    model.train()
    sum(model.calculate_loss(built.batch)).backward()
    in_step = {*asked[0].tolist(), *range(model.n_items, len(table))} - {0}  # after the items: BERT4Rec's mask token
    assert len(encoded) == len(asked) == 1
    assert encoded[0] == len([item for item in in_step if item < model.n_items]) < model.n_items - 1
    smoothing = getattr(model.items.id_rows, "smoothing", None)
    assert (smoothing is None) == (ways == WAYS_OFF)
    if smoothing is not None:
        neighbours = smoothing.graph.values.to_dense()[sorted(in_step)].any(dim=0).nonzero().flatten()
        in_step |= set(neighbours.tolist())
    if sparse:  # rows with a gradient, which for some is zero
        assert set(table.grad.coalesce().indices().flatten().tolist()) == in_step
    trainer.optimizer.step()
    changed = set((table != before).any(dim=1).nonzero().flatten().tolist())
    assert changed and changed <= in_step


def test_a_sampled_run_trains_and_resumes_exactly(tiny_keys, tmp_path):
    keys = {**tiny_keys, "softmax_negatives": 5, "softmax_proposal": "popularity", "epochs": 3}
    whole = experiment.run("SASRec_SDA", "tiny", overrides={**keys, "run_dir": str(tmp_path / "whole")})
    experiment.run("SASRec_SDA", "tiny", overrides={**keys, "epochs": 2, "run_dir": str(tmp_path / "parts")})
    parts = experiment.resume(tmp_path / "parts", {"epochs": 3})
    assert parts["test"] == whole["test"] and parts["valid"] == whole["valid"]
    assert whole["protocol"]["loss"] == "CE against 5 sampled items (popularity), log-Q corrected"


def test_features_alone_have_no_sparse_table_and_so_no_limits(build, tmp_path):
    built = build(
        "SASRec_SDA", softmax_negatives=5, id_embedding="none", clip_grad_norm={"max_norm": 1}, weight_decay=0.1
    )
    trainer = make_trainer(built.config, built.model, tmp_path)
    assert isinstance(trainer.optimizer, torch.optim.Adam)


@pytest.mark.parametrize("name", [*COVERED, "SASRec_SDA"])
@pytest.mark.parametrize("negatives", [None, 200_000])
def test_popularity_adjustment_adds_the_prior_in_training_alone(build, name, negatives):
    built = build(
        name, popularity_adjustment=0.5, softmax_negatives=negatives, **(SOFTMAX_ALONE if "_" in name else {})
    )
    count = torch.from_numpy(built.data.counts.items).double() + 1
    prior = (0.5 * (count / count[1:].sum()).log()).float()
    model = built.model.eval()
    own = build(name, **(SOFTMAX_ALONE if "_" in name else {})).model.eval()
    own.load_state_dict(model.state_dict())
    hidden, targets, _ = own._training_outputs(built.batch)
    scores = hidden @ own._training_table().T + prior
    if negatives:  # the padding row is never drawn
        scores[:, 0] = -torch.inf
    expected = torch.nn.functional.cross_entropy(scores, targets)
    ours = model.calculate_loss(copy.deepcopy(built.batch))
    torch.testing.assert_close(ours, expected, rtol=5e-3 if negatives else 1e-5, atol=0)
    test = next(iter(built.data.test))[0]
    with torch.no_grad():
        assert torch.equal(own.full_sort_predict(test), model.full_sort_predict(test))


def known_items(name, model, batch):
    """Per target of a batch: output, target and the set of items of its history, written as loops over the batch."""
    cases = []
    if name.startswith("BERT4Rec"):
        hidden = model.forward(batch[model.MASK_ITEM_SEQ])
        for row, (index, positives) in enumerate(
            zip(batch[model.MASK_INDEX].tolist(), batch[model.POS_ITEMS].tolist())
        ):
            sequence = set(batch[model.MASK_ITEM_SEQ][row].tolist()) | set(positives)
            cases += [
                (hidden[row, place], item, sequence - {item, 0, model.n_items})
                for place, item in zip(index, positives)
                if place
            ]
        return cases
    sequences, lengths, targets = batch[model.ITEM_SEQ], batch[model.ITEM_SEQ_LEN], batch[model.POS_ITEM_ID]
    if targets.dim() == 1:
        hidden = model.forward(sequences, lengths)
        return [(h, t, set(s) - {t, 0}) for h, t, s in zip(hidden, targets.tolist(), sequences.tolist())]
    for row in range(len(sequences)):
        for place in range(sequences.shape[1]):
            target = int(targets[row, place])
            if target:
                prefix = sequences[row : row + 1, : place + 1]
                hidden = model.forward(prefix, torch.tensor([place + 1]))
                cases.append((hidden[0], target, set(prefix[0].tolist()) - {target, 0}))
    return cases


@pytest.mark.parametrize("name", [*COVERED, "SASRec_SDA", "BERT4Rec_SDA"])
@pytest.mark.parametrize("temperature", [None, 0.2])
@pytest.mark.parametrize("masked", [False, True])
def test_cosine_scores_and_masked_histories_equal_a_loop(build, name, temperature, masked):
    more = SOFTMAX_ALONE if "_" in name else {}
    built = build(name, logit_temperature=temperature, train_mask_history=masked, train_batch_size=16, **more)
    model = built.model.eval()
    table, bias = model.item_embedding.weight[: model.n_items], getattr(model, "output_bias", 0.0)
    losses = []
    for hidden, target, history in known_items(name, model, built.batch):
        if temperature is not None:
            scores = torch.cosine_similarity(hidden.unsqueeze(0), table, dim=1, eps=1e-30) / temperature + bias
        else:
            scores = table @ hidden + bias
        allowed = [item for item in range(model.n_items) if not (masked and item in history)]
        losses.append(scores[allowed].logsumexp(0) - scores[target])
    torch.testing.assert_close(
        model.calculate_loss(copy.deepcopy(built.batch)), torch.stack(losses).mean(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", [*COVERED, "SASRec_SDA", "BERT4Rec_SDA"])
def test_evaluation_has_the_scores_of_training(build, name):
    """With a temperature, the scores of a full sort are cosines, and those of single items agree with them."""
    built = build(name, logit_temperature=0.2)
    model, batch = built.model.eval(), next(iter(built.data.test))[0]
    with torch.no_grad():
        scores = model.full_sort_predict(copy.deepcopy(batch))
        single = model.predict(copy.deepcopy(batch))
        plain = build(name).model.eval()
        plain.load_state_dict(model.state_dict())
        products = plain.full_sort_predict(copy.deepcopy(batch))
    torch.testing.assert_close(single, scores.gather(1, batch[model.ITEM_ID].unsqueeze(1)).squeeze(1))
    norms = model.item_embedding.weight[: model.n_items].norm(dim=1)
    bias = getattr(model, "output_bias", torch.zeros(model.n_items))
    assert ((scores - bias).abs() <= 1 / 0.2 + 1e-4).all()
    directions, cosines = ((products - bias) / norms)[:, 1:], (scores - bias)[:, 1:] * 0.2
    lengths = directions.norm(dim=1, keepdim=True) / cosines.norm(dim=1, keepdim=True)  # of each row's output
    torch.testing.assert_close(directions, cosines * lengths, rtol=1e-3, atol=1e-5)


def test_the_mask_token_is_set_as_recbole_sets_it(build):
    built = build("BERT4Rec")
    model, own = built.model, plain_model("BERT4Rec")
    lengths = torch.tensor([1, 2, 7, 8, 8])
    items = torch.randint(1, model.n_items, (5, 8)) * (torch.arange(8) < lengths.unsqueeze(1))
    assert torch.equal(model.reconstruct_test_data(items, lengths), own.reconstruct_test_data(model, items, lengths))
