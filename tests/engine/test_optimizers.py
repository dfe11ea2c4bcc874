"""Fused Adam, the learning rates of a model's parts, and tables of sparse gradients."""

import copy

import pytest
import torch

from recbole_sda.engine import experiment
from recbole_sda.engine.optimizers import DenseAndSparse, fuse
from recbole_sda.errors import InputError
from recbole_sda.model import softmax_loss


def test_fused_adam_is_adam():
    torch.manual_seed(0)
    plain = torch.nn.Linear(5, 3)
    other = copy.deepcopy(plain)
    steps = [torch.optim.Adam(plain.parameters(), lr=0.01, weight_decay=0.1)]
    steps.append(fuse(torch.optim.Adam(other.parameters(), lr=0.01, weight_decay=0.1)))
    for _ in range(5):
        x = torch.randn(7, 5)
        for model, optimizer in zip((plain, other), steps):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    assert steps[1].param_groups[0]["fused"] and steps[0].param_groups[0]["fused"] is None
    torch.testing.assert_close(plain.weight, other.weight)


def test_other_optimizers_stay():
    optimizer = torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=0.1)
    assert fuse(optimizer) is optimizer and not optimizer.param_groups[0].get("fused")


@pytest.mark.parametrize("model", ["SASRec_SDA", "BPR_SDA"])
def test_the_encoder_has_its_own_learning_rate(build, tmp_path, model):
    run = experiment.build(build.config(model, learning_rate=0.008, encoder_lr_factor=0.25), tmp_path)
    others, encoder = run.trainer.optimizer.param_groups
    assert (others["lr"], encoder["lr"]) == (0.008, 0.002)
    weights = {id(p) for p in run.model.items.encoder_weights()}
    assert {id(p) for p in encoder["params"]} == weights and weights
    assert {id(p) for p in others["params"]} == {id(p) for p in run.model.parameters()} - weights


@pytest.mark.parametrize("model, factor", [("SASRec_SDA", 1.0), ("SASRec", None)])
def test_without_a_factor_there_is_one_learning_rate(build, tmp_path, model, factor):
    keys = {} if factor is None else {"encoder_lr_factor": factor}
    run = experiment.build(build.config(model, learning_rate=0.008, **keys), tmp_path)
    (group,) = run.trainer.optimizer.param_groups
    assert group["lr"] == 0.008 and len(group["params"]) == len(list(run.model.parameters()))


def test_a_sparse_table_is_in_no_other_optimizer(build, tmp_path):
    keys = {"softmax_negatives": 5, "sparse_updates": True, "learning_rate": 0.008, "encoder_lr_factor": 0.25}
    run = experiment.build(build.config("SASRec_SDA", **keys), tmp_path)
    optimizer = run.trainer.optimizer
    assert isinstance(optimizer, DenseAndSparse)
    others, encoder, table = optimizer.param_groups
    assert [group["lr"] for group in optimizer.param_groups] == [0.008, 0.002, 0.008]
    assert [p.shape[0] for p in table["params"]] == [run.data.dataset.item_num]
    assert len(others["params"]) + len(encoder["params"]) + 1 == len(list(run.model.parameters()))
    assert all(p is not table["params"][0] for p in others["params"])


@pytest.mark.parametrize("keys", [{"learner": "sgd"}, {"weight_decay": 0.1}, {"clip_grad_norm": {"max_norm": 1}}])
def test_what_sparse_gradients_cannot_do(build, tmp_path, keys):
    (key,) = keys
    with pytest.raises(InputError, match=f"{key}=.*: with sparse_updates, only the id embeddings of a step's items"):
        experiment.build(build.config("SASRec_SDA", softmax_negatives=5, sparse_updates=True, **keys), tmp_path)


@pytest.mark.parametrize("value, limit, is_sparse", [("auto", 100_000, False), ("auto", 20, True), (False, 20, False)])
def test_tables_of_few_items_are_updated_as_a_whole(build, tmp_path, monkeypatch, value, limit, is_sparse):
    monkeypatch.setattr(softmax_loss, "DENSE_ITEMS", limit)
    run = experiment.build(build.config("SASRec", softmax_negatives=5, sparse_updates=value), tmp_path)
    assert isinstance(run.trainer.optimizer, DenseAndSparse) == is_sparse
    clipped = {"softmax_negatives": 5, "sparse_updates": False, "weight_decay": 0.1, "clip_grad_norm": {"max_norm": 1}}
    assert experiment.build(build.config("SASRec", **clipped), tmp_path)
