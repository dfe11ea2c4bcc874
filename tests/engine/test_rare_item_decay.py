"""Decay of the id table by counts: the formula after each step, for dense and sparse gradients; off by default; resumption."""

import pytest
import torch

from recbole_sda.engine import experiment
from recbole_sda.engine.rare_item_decay import RareItemDecay, item_id_table
from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import LAST, load_checkpoint

MODELS = ["SASRec", "BPR", "LightGCN", "SASRec_SDA"]
CASES = [
    *((model, {}) for model in MODELS),
    ("SASRec", {"softmax_negatives": 5}),
    ("SASRec_SDA", {"softmax_negatives": 5}),
    ("BERT4Rec", {}),  # with a row for the mask token
    ("BPR_SDA", {"item_encoder": "identity", "cmsa_weight": 0.0}),
    ("SimpleX", {"learner": "sgd"}),  # whose table has another name
]


def built(build, folder, model, **keys):
    return experiment.build(build.config(model, warmup_epochs=3, **keys), folder)


def one_step(run, batch):
    """Take one training step, as RecBole's trainer does."""
    run.model.train()
    for optimizer in run.trainer._optimizers().values():
        optimizer.zero_grad()
        loss = run.model.calculate_loss(batch)
        (sum(loss) if isinstance(loss, tuple) else loss).backward()
        optimizer.step()


@pytest.mark.parametrize("model, keys", CASES, ids=[f"{model}-{'-'.join(keys)}" for model, keys in CASES])
def test_each_row_shrinks_by_its_count_after_the_step(build, tmp_path, model, keys):
    """A step with the decay is the step without it, then a slow loop over the rows, also for rows outside of the batch."""
    decay, learning_rate, tables, runs = 40.0, 0.01, [], []
    for strength in (0.0, decay):
        run = built(
            build, tmp_path / str(strength), model, learning_rate=learning_rate, rare_item_decay=strength, **keys
        )
        run.trainer._start_warmup(run.data.train)
        batch = next(iter(run.data.train))
        torch.manual_seed(5)
        one_step(run, batch)
        tables.append(item_id_table(run.model, model).weight.detach().clone())
        runs.append(run)
    plain, decayed = tables
    n_steps = 3 * len(runs[0].data.train)
    counts, n_items = runs[0].data.counts.items, runs[0].data.dataset.item_num
    assert len(counts) == n_items and n_items <= len(plain) and len({*counts.tolist()}) > 3
    expected = plain.clone()
    for item in range(1, n_items):
        expected[item] *= 1 - learning_rate / n_steps * decay / (counts[item] + 1)
    torch.testing.assert_close(decayed, expected, rtol=1e-6, atol=0)
    assert torch.equal(decayed[0], plain[0]) and torch.equal(decayed[n_items:], plain[n_items:])
    assert (decayed[1:n_items] != plain[1:n_items]).any(dim=1).all()


@pytest.mark.parametrize("model", MODELS)
def test_it_is_off_by_default(build, tmp_path, model):
    run = built(build, tmp_path, model)
    assert all(not o._optimizer_step_post_hooks for o in run.trainer._optimizers().values())


def test_the_rate_is_that_of_the_table_s_group():
    table, other = (torch.nn.Parameter(torch.ones(2, 3)) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": [other], "lr": 0.5}, {"params": [table], "lr": 0.25}])
    RareItemDecay([optimizer], table, torch.tensor([0, 1]), 2.0)
    table.grad = torch.zeros_like(table)
    optimizer.step()
    assert table.tolist() == [[1.0] * 3, [0.75] * 3] and other.tolist() == [[1.0] * 3] * 2


def test_a_table_that_no_optimizer_updates():
    other = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    with pytest.raises(ValueError, match="no optimizer updates the item id table"):
        RareItemDecay([other], torch.nn.Parameter(torch.ones(2, 1)), torch.tensor([0, 1]), 1.0)


@pytest.mark.parametrize("model, keys", [("NeuMF", {}), ("BPR_SDA", {"id_embedding": "none"})])
def test_models_without_an_id_table(build, model, keys):
    with pytest.raises(InputError, match=f"rare_item_decay: {model} has no item id table"):
        item_id_table(build(model, **keys).model, model)


@pytest.mark.parametrize("model, more", [("SASRec_SDA", {"softmax_negatives": 5}), ("LightGCN", {})])
def test_a_run_is_resumed_exactly(keys, tmp_path, comparable, history, model, more):
    """Inside of the warm-up. The decay changes the weights, and nothing of it is missing from the checkpoint."""
    keys = {**keys, **more, "warmup_epochs": 2.5, "rare_item_decay": 30.0}
    whole = experiment.run(model, "tiny", (), {**keys, "run_dir": str(tmp_path / "whole")})
    experiment.run(model, "tiny", (), {**keys, "epochs": 2, "run_dir": str(tmp_path / "cut")})
    resumed = experiment.resume(tmp_path / "cut", {"epochs": keys["epochs"]})
    assert comparable(resumed) == comparable(whole)
    assert history(tmp_path / "cut") == history(tmp_path / "whole")
    first, second = (load_checkpoint(tmp_path / name / LAST)["state_dict"] for name in ("whole", "cut"))
    assert all(torch.equal(value, second[key]) for key, value in first.items())
