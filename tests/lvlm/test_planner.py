"""The plan of the LVLM stage against what tiny models take: parameters, tokens, memory and operations."""

import importlib
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from recbole_sda.errors import InputError
from recbole_sda.lvlm.adapter_trainer import AdapterTrainer
from recbole_sda.lvlm.backbone import load_backbone
from recbole_sda.lvlm.batching import length_groups
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.inputs import Batches
from recbole_sda.lvlm.items import read_item_content
from recbole_sda.lvlm.meta_trace import fused_attention
from recbole_sda.lvlm.planner import METHODS, Planner, padded_tokens, weight_bytes
from recbole_sda.lvlm.training_items import StepBatches, select_training_items
from tests.lvlm.test_meta_trace import allocated


@pytest.fixture(scope="module")
def planned(stage):
    torch.set_num_threads(1)
    settings = stage(token_budget=2000, text_groups=1)
    planner = Planner(settings)
    return settings, planner, planner.plan()


@pytest.fixture
def copied(monkeypatch):
    """Let the CPU copy the model's inputs for a pass, as another device does."""
    module = importlib.import_module("recbole_sda.lvlm.encode")
    monkeypatch.setattr(module, "to_device", lambda batch, _: {name: value.clone() for name, value in batch.items()})


def trained(settings, inputs, **keys):
    """Return a trainer after one step, so that the state of its optimizer exists."""
    trainer = AdapterTrainer(load_backbone(settings), replace(settings, **keys))
    trainer.step(0, inputs)
    trainer.optimizer.zero_grad(set_to_none=True)
    return trainer


def test_parameters_and_states_are_exact(planned):
    settings, planner, plan = planned
    backbone = load_backbone(settings)
    assert plan["backbone"]["parameters"] == sum(p.numel() for p in backbone.model.parameters())
    assert plan["backbone"]["weights"] == sum(
        t.nbytes for t in [*backbone.model.parameters(), *backbone.model.buffers()]
    )
    inputs = planner.sides(planner.catalogue.training, planner.catalogue.training.batches[0])
    for method in METHODS:
        trainer = trained(settings, inputs, method=method)
        state = [value for of in trainer.optimizer.state.values() for value in of.values() if value.dim()]
        assert plan["adapters"][method] == {
            "parameters": sum(p.numel() for p in trainer.weights),
            "weights": sum(p.nbytes for p in trainer.weights),
            "gradients": sum(p.nbytes for p in trainer.weights),
            "optimizer": sum(value.nbytes for value in state),
        }


def test_tokens_are_those_of_the_batches(planned):
    settings, planner, plan = planned
    backbone = load_backbone(settings)
    items = select_training_items(read_item_content(settings), backbone.processor, settings)
    steps = StepBatches(items.train, settings.batch_size, settings.steps, settings.seed)
    batches = Batches([items.image, items.text], backbone.processor, steps)
    masks = [[side["attention_mask"] for side in batches[k]] for k in range(settings.steps)]
    assert planner.catalogue.training.padded().tolist() == [sum(mask.numel() for mask in step) for step in masks]
    for k, step in enumerate(masks):
        lengths = [
            side.lengths[planner.catalogue.training.batches[k]].tolist() for side in planner.catalogue.training.sides
        ]
        assert lengths == [mask.sum(dim=1).tolist() for mask in step]
    assert plan["adapt"]["pairs"] == settings.steps * settings.batch_size
    assert plan["extract"]["modalities"]["image"]["inputs"] == 36 and plan["items"]["both"] == 36


def test_groups_of_texts_are_planned(stage):
    settings = stage(text_groups=3)
    planner = Planner(settings)
    training = planner.catalogue.training
    trainer = AdapterTrainer(load_backbone(settings), settings)
    tokens = []
    for batch in training.batches[:3]:
        sizes = [planner.sides(training, batch)[0]["attention_mask"].numel()]
        sizes += [part["attention_mask"].numel() for _, part in length_groups(planner.sides(training, batch)[1], 3)]
        tokens.append(sum(sizes))
    assert training.padded()[:3].tolist() == tokens
    assert training._replace(text_groups=1).padded()[0] > tokens[0]
    inputs = planner.sides(training, training.batches[0])
    with fused_attention():
        step = planner.trace_step(planner.trainer("moda", False), inputs)
    trainer.step(0, inputs)
    trainer.optimizer.zero_grad(set_to_none=True)
    assert step.peak == pytest.approx(allocated(lambda: trainer.step(1, inputs)), rel=0.05)


@pytest.mark.parametrize("method, checkpointing", [("moda", False), ("moda", True), ("two_lora", False)])
def test_memory_of_a_step(planned, copied, method, checkpointing):
    settings, planner, _ = planned
    training = planner.catalogue.training
    inputs = planner.sides(training, training.batches[0])
    with fused_attention():
        step = planner.trace_step(planner.trainer(method, checkpointing), inputs)
    trainer = trained(settings, inputs, method=method, gradient_checkpointing=checkpointing)
    measured = allocated(lambda: trainer.step(1, inputs))
    assert step.peak == pytest.approx(measured, rel=0.02)
    assert step.saved < step.peak


def test_memory_of_a_batch_of_an_extraction(planned, copied):
    settings, planner, plan = planned
    backbone = load_backbone(settings)
    for name, inputs in planner.catalogue.modalities.items():
        longest = np.argsort(-inputs.lengths, kind="stable")
        rows = longest[: max(1, settings.token_budget // inputs.lengths.max())]
        batch = inputs.batch(backbone.processor, [rows[0]] * len(rows))
        with torch.no_grad():
            measured = allocated(partial(encode, backbone, None, batch, name, settings.pooling))
        assert plan["extract"]["modalities"][name]["batch_peak"] == pytest.approx(measured, rel=0.02)


def test_operations_are_those_that_torch_counts(planned):
    settings = replace(planned[0], attention="eager")  # torch counts no fused attention on the CPU
    planner = Planner(settings)
    training = planner.catalogue.training
    trainer = AdapterTrainer(load_backbone(settings), settings)
    batch = planner.sides(training, training.batches[0])
    step = planner.trace_step(planner.trainer(settings.method, False), batch)
    with FlopCounterMode(display=False) as counter:
        trainer.step(0, batch)
    assert step.flops == pytest.approx(counter.get_total_flops(), rel=0.001)  # the loss is not planned
    adapt = planned[2]["adapt"]
    assert adapt["flops"] > settings.steps * adapt["flops_per_step"]  # and evaluations


def test_lengths_and_budget_give_the_padding():
    lengths = np.array([5, 9, 1, 4])
    assert padded_tokens(lengths, [np.array([1, 0]), np.array([3, 2])], 10) == 9 + 5 + 8
    assert padded_tokens(lengths, [np.array([1, 0, 3, 2])], 100) == 36


def test_quantised_weights(planned):
    _, planner, plan = planned
    model = planner.backbone.model
    linear = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not model.lm_head)
    assert weight_bytes(model, None) - weight_bytes(model, "8bit") == 3 * linear


def test_too_few_items(stage):
    with pytest.raises(InputError, match="n_items=9: 10 are needed, 2 held out"):
        Planner(replace(stage(), items=None), n_items=9)
