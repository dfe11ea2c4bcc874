"""Optimizer steps of an adapter: the learning rate schedule and the clipping of gradients."""

import math

import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.lvlm.adapter_trainer import AdapterTrainer, step_seed
from recbole_sda.lvlm.backbone import load_backbone
from recbole_sda.lvlm.items import read_item_content
from recbole_sda.lvlm.training_items import select_training_items

STEPS, RATE = 10, 1e-2
# schedule -> share of the learning rate after a share of the steps that follow the warm-up
DECAY = {"constant": lambda p: 1.0, "linear": lambda p: 1 - p, "cosine": lambda p: (1 + math.cos(math.pi * p)) / 2}


@pytest.fixture
def trainer_and_batch(stage):
    """A function: settings -> a trainer, and the model's inputs of eight items."""

    def make(**keys):
        settings = stage(**keys)
        trainer = AdapterTrainer(load_backbone(settings), settings)
        processor = trainer.backbone.processor
        items = select_training_items(read_item_content(settings), processor, settings)
        return trainer, [inputs.batch(processor, range(8)) for inputs in (items.image, items.text)]

    return make


@pytest.mark.parametrize("schedule", DECAY)
@pytest.mark.parametrize("warmup_share, warmup_steps", [(0.0, 0), (0.4, 4), (0.36, 4)])
def test_the_learning_rate_rises_in_the_warm_up_and_then_follows_its_schedule(
    stage, schedule, warmup_share, warmup_steps
):
    settings = stage(steps=STEPS, learning_rate=RATE, warmup_share=warmup_share, schedule=schedule)
    trainer = AdapterTrainer(load_backbone(settings), settings)
    rates = []
    for _ in range(STEPS):
        rates.append(trainer.optimizer.param_groups[0]["lr"])
        trainer.optimizer.step()
        trainer.schedule.step()
    rising = [RATE * k / warmup_steps for k in range(warmup_steps)]
    n_after = STEPS - warmup_steps
    assert rates == pytest.approx(rising + [RATE * DECAY[schedule](k / n_after) for k in range(n_after)])


@pytest.mark.parametrize("n_groups", [2, 5])
def test_groups_of_texts_change_neither_vectors_nor_gradients(trainer_and_batch, n_groups):
    whole, batch = trainer_and_batch(dropout=0.0)
    divided, _ = trainer_and_batch(dropout=0.0, text_groups=n_groups)
    lengths = batch[1]["attention_mask"].sum(dim=1)
    assert lengths.min() < lengths.max() and (lengths.diff() > 0).any()  # neither equal nor sorted
    for a, b in zip(whole.vectors(batch), divided.vectors(batch)):
        assert torch.allclose(a, b, atol=1e-5)
    terms = whole.step(0, batch), divided.step(0, batch)
    assert terms[0] == pytest.approx(terms[1], rel=1e-4)
    for p, q in zip(whole.weights, divided.weights):
        assert p.grad is not None and torch.allclose(p.grad, q.grad, rtol=1e-3, atol=1e-6)


def gradient_norm(trainer):
    trained = [*trainer.weights, *trainer.loss.parameters()]
    return float(torch.cat([p.grad.flatten() for p in trained if p.grad is not None]).norm())


def test_gradients_are_clipped_to_clip_norm(trainer_and_batch):
    free, batch = trainer_and_batch(clip_norm=None, dropout=0.0)
    norm = free.step(0, batch)["gradient_norm"]
    assert gradient_norm(free) == pytest.approx(norm)
    clipped, _ = trainer_and_batch(clip_norm=norm / 4, dropout=0.0)
    assert clipped.step(0, batch)["gradient_norm"] == pytest.approx(norm)
    assert gradient_norm(clipped) == pytest.approx(norm / 4, rel=1e-4)
    within, _ = trainer_and_batch(clip_norm=norm * 4, dropout=0.0)
    within.step(0, batch)
    assert gradient_norm(within) == pytest.approx(norm)


def test_weight_decay_acts_on_the_adapter_only(trainer_and_batch):
    trainer, _ = trainer_and_batch(weight_decay=0.1)
    decay = {id(p): group["weight_decay"] for group in trainer.optimizer.param_groups for p in group["params"]}
    assert {decay[id(p)] for p in trainer.weights} == {0.1}
    assert [decay[id(p)] for p in trainer.loss.parameters()] == [0.0]


def test_a_loss_that_is_not_finite_is_an_error(trainer_and_batch):
    trainer, batch = trainer_and_batch()
    trainer.weights[0].data.fill_(float("inf"))
    with pytest.raises(InputError, match=r"step 3: .*not finite \(cmsa .*learning_rate below 0.005, or dtype=float32"):
        trainer.step(2, batch)


def test_each_process_has_its_own_random_stream(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    seeds = [step_seed(1, 0), step_seed(1, 1), step_seed(2, 0)]
    monkeypatch.setenv("RANK", "1")
    seeds.append(step_seed(1, 0))
    assert len(set(seeds)) == 4
