"""Items without a training interaction take no part in any loss, against slow loops that leave them out."""

import copy
import logging

import pytest
import torch
from torch.nn import functional as F

from recbole_sda.engine.run import build as build_run
from recbole_sda.losses.sampled_softmax import ItemSampler
from recbole_sda.model.absent_items import PresentCrossEntropy, absent_items

COLD = {"cold_items": 0.3}
SOFTMAX_ALONE = {"cmsa_weight": 0.0, "soft_targets": 0.0, "id_dropout": 0.0}


def masked_targets(model, batch):
    """Outputs and targets of BERT4Rec at its masks, by loops."""
    hidden = model.forward(batch[model.MASK_ITEM_SEQ])
    pairs = [
        (hidden[row, place], item)
        for row, (index, items) in enumerate(zip(batch[model.MASK_INDEX].tolist(), batch[model.POS_ITEMS].tolist()))
        for place, item in zip(index, items)
        if place
    ]
    return pairs


def outputs_and_targets(name, model, batch):
    """(output, target) of each training target of a batch, by loops over prefixes."""
    if name.startswith("BERT4Rec"):
        return masked_targets(model, batch)
    items, lengths, targets = batch[model.ITEM_SEQ], batch[model.ITEM_SEQ_LEN], batch[model.POS_ITEM_ID]
    if targets.dim() == 1:
        return list(zip(model.forward(items, lengths), targets.tolist()))
    return [
        (model.forward(items[row : row + 1, : place + 1], torch.tensor([place + 1]))[0], int(targets[row, place]))
        for row in range(len(items))
        for place in range(items.shape[1])
        if targets[row, place]
    ]


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("name", ["SASRec", "GRU4Rec", "BERT4Rec", "NARM", "STAMP", "SASRec_SDA", "BERT4Rec_SDA"])
def test_the_softmax_is_over_the_items_that_exist(build, name, fast):
    more = SOFTMAX_ALONE if "_" in name else {}
    built = build(name, **COLD, train_batch_size=16, fast_sequences=fast, **more)
    model, absent = built.model.eval(), set(absent_items(built.data.train._dataset).tolist())
    present = [item for item in range(model.n_items) if item not in absent]
    table, bias = model.item_embedding.weight[: model.n_items], getattr(model, "output_bias", 0.0)
    losses = []
    for hidden, target in outputs_and_targets(name, model, built.batch):
        scores = table @ hidden + bias
        losses.append(scores[present].logsumexp(0) - scores[target])
    ours = model.calculate_loss(copy.deepcopy(built.batch))
    torch.testing.assert_close(ours, torch.stack(losses).mean(), rtol=1e-4, atol=1e-5)
    ours.backward()
    assert len(absent) == 11 and all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    if "_" not in name:  # untouched: they do not exist
        assert not model.item_embedding.weight.grad[sorted(absent)].any()


@pytest.mark.parametrize(
    "name, more",  # without the L2 norm of all rows
    [("Caser", {"reg_weight": 0.0}), ("GCSAN", {"reg_weight": 0.0}), ("CORE", {}), ("SHAN", {}), ("HGN", {})],
)
def test_a_models_own_softmax_leaves_them_out(build, name, more, tmp_path):
    """Its loss does not depend on what the embeddings of absent items are."""
    run = build_run(build.config(name, **COLD, **more, train_batch_size=16), tmp_path)
    model, absent = run.model.eval(), torch.from_numpy(absent_items(run.data.train._dataset))
    batch = next(iter(run.data.train))
    torch.manual_seed(0)
    loss = model.calculate_loss(copy.deepcopy(batch))
    tables = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    with torch.no_grad():
        for table in tables:
            if table.num_embeddings == model.n_items:
                table.weight[absent] += 3.0
    torch.manual_seed(0)
    torch.testing.assert_close(model.calculate_loss(copy.deepcopy(batch)), loss)


def test_cross_entropy_without_some_items():
    scores, targets, absent = torch.randn(4, 6), torch.tensor([0, 2, 2, 5]), torch.tensor([1, 4])
    loss = PresentCrossEntropy(torch.nn.CrossEntropyLoss(), absent.numpy())
    expected = F.cross_entropy(scores[:, [0, 2, 3, 5]], torch.tensor([0, 1, 1, 3]))
    torch.testing.assert_close(loss(scores, targets), expected)
    assert not loss.state_dict()


@pytest.mark.parametrize("counts", [None, torch.arange(7)])
def test_the_sampler_never_draws_them(counts):
    sampler = ItemSampler(7, 5000, counts, torch.tensor([2, 6]))
    drawn = sampler.draw("cpu")
    assert set(drawn.tolist()) == {1, 3, 4, 5}
    weights = torch.tensor([1.0, 1, 1, 1]) if counts is None else torch.tensor([2.0, 4, 5, 6])
    expected = (5000 * weights / weights.sum()).log()
    torch.testing.assert_close(sampler.log_expected(torch.tensor([1, 3, 4, 5])), expected)


@pytest.mark.parametrize("k", [4, 200])
def test_sampled_softmax_draws_no_absent_item(build, k):
    built = build("SASRec", **COLD, softmax_negatives=k, softmax_proposal="popularity", popularity_adjustment=0.5)
    absent = torch.from_numpy(absent_items(built.data.train._dataset))
    assert not torch.isin(built.model.sampler.draw("cpu"), absent).any()
    assert torch.isfinite(built.model.calculate_loss(built.batch))


def test_they_are_no_soft_targets(build):
    built = build("SASRec_SDA", **COLD, soft_targets=0.3, soft_targets_neighbours=5)
    absent = torch.from_numpy(absent_items(built.data.train._dataset))
    teacher = built.model.soft_targets
    assert torch.isin(teacher.neighbours, absent).any()
    assert not teacher.probabilities[torch.isin(teacher.neighbours, absent)].any()
    sums = teacher.probabilities.sum(dim=1)
    assert ((sums - 1).abs() < 1e-6).logical_or(sums == 0).all()
    assert torch.isfinite(torch.stack(list(built.model.calculate_loss(built.batch))).sum())


def test_a_loss_that_cannot_leave_any_out_is_named(build, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    build_run(build.config("MultiVAE", **COLD), tmp_path)
    assert "MultiVAE compares with all items in its loss: the 11 items without a training interaction" in caplog.text
