"""Everything that training changes is in a checkpoint: values of all kinds, and a resumed run of every model."""

import random
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

from recbole_sda.engine import experiment
from recbole_sda.engine.attribute_values import digest, restored, stored
from recbole_sda.engine.changed_attributes import ChangedAttributes
from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import LAST, from_plain, load_checkpoint, save_checkpoint
from recbole_sda.model.model_table import BASE_MODELS, MULTIMODAL, NEIGHBOURS, WITHOUT_SDA

VALUES = [
    3,
    0.5,
    "text",
    True,
    (1, (2, "x")),
    [1, [torch.ones(2)]],
    {"a": {2: torch.zeros(1)}, 5: (1,)},
    {1, 2},
    frozenset({"x"}),
    deque([1, 2]),
    torch.arange(4),
    torch.eye(2).to_sparse(),
    np.arange(3.0),
    np.array([[1], [2, 3]], dtype=object),
    sp.eye(3, format="csr"),
]
GENERATORS = {
    "python": (lambda: random.Random(4), lambda g: g.random()),
    "numpy": (lambda: np.random.default_rng(4), lambda g: g.random()),
    "old numpy": (lambda: np.random.RandomState(4), lambda g: g.rand()),
    "torch": (lambda: torch.Generator().manual_seed(4), lambda g: torch.rand((), generator=g).item()),
}


def through_a_file(value, path):
    save_checkpoint(path, {"value": stored(value)})
    return from_plain(load_checkpoint(path)["value"])


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_come_back(value, tmp_path):
    again = restored(None, through_a_file(value, tmp_path / "state.pt"))
    assert type(again) is type(value) and digest(again) == digest(value)
    assert digest(value) != digest([value]) != digest([value, value])


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_go_on_where_they_were(name, tmp_path):
    make, draw = GENERATORS[name]
    one, other = make(), make()
    before = digest(one)
    draw(one)
    assert digest(one) != before
    assert restored(other, through_a_file(one, tmp_path / "state.pt")) is other
    assert draw(other) == draw(one)


def test_values_are_restored_in_place():
    """Two names of one object keep naming one object."""
    for value, new in ((torch.zeros(2), torch.ones(2)), ([1], [2, 3]), ({"a": 1}, {"b": 2}), (np.zeros(2), np.ones(2))):
        assert restored(value, stored(new)) is value
        assert digest(value) == digest(new)


class Counter:
    def __init__(self):
        self.count = 0


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.register_buffer("average", torch.zeros(2), persistent=False)
        self.helper, self.steps, self.fixed = Counter(), 0, np.zeros(3)
        self.weights, self.recurrent = [self.inner.weight], nn.GRU(2, 2)  # a GRU keeps a list of its parameters


def test_what_changed_and_nothing_else(tmp_path):
    model, trainer = Model(), SimpleNamespace(tries=1)
    changed = ChangedAttributes(model, trainer)
    assert changed.state() == {}
    for weight in model.parameters():
        weight.data += 1
    model.average += 1
    model.helper.count, model.seen, trainer.tries = 5, [1], 2
    state = changed.state()
    assert sorted(state) == ["model.average", "model.helper.count", "model.seen", "trainer.tries"]
    new, other = Model(), SimpleNamespace(tries=1)
    restoring = ChangedAttributes(new, other)
    restoring.restore(state)
    assert new.helper.count == 5 and new.seen == [1] and other.tries == 2
    assert torch.equal(new.average, torch.ones(2))
    assert restoring.state().keys() == state.keys()


def test_what_a_checkpoint_cannot_hold_is_said_once(caplog):
    model = Model()
    changed = ChangedAttributes(model, SimpleNamespace())
    model.fixed = (x for x in ())
    assert changed.state() == changed.state() == {}
    assert caplog.text.count("model.fixed changes in training, but it holds a generator") == 1


NOT_HERE = {"NCL", "KSR", "GRU4RecKG", "GRU4RecF", "SASRecF", "FDSA", "DIN", "DIEN", "S3Rec", "RaCT"}
EVERY_MODEL = [
    *(name + suffix for name in (*BASE_MODELS, *MULTIMODAL) for suffix in ("", "_SDA")),
    *NEIGHBOURS,
    *(
        name for name in WITHOUT_SDA if name not in NOT_HERE
    ),  # which need item fields, other files or trainers of their own
]
FEW = ["LDiffRec", "DiffRec", "LINE", "BM3", "SASRec_SDA", "Pop"]


@pytest.mark.parametrize(
    "model", [*FEW, *(pytest.param(name, marks=pytest.mark.slow) for name in EVERY_MODEL if name not in FEW)]
)
def test_two_epochs_and_one_equal_three(model, tiny_keys, tmp_path):
    """All of the last checkpoint is equal: weights, optimizers, random states and changed attributes."""
    for folder, epochs in (("whole", 3), ("cut", 2)):
        experiment.run(model, "tiny", (), {**tiny_keys, "epochs": epochs, "run_dir": str(tmp_path / folder)})
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)
    try:
        experiment.resume(tmp_path / "cut", {"epochs": 3})
    except InputError as error:
        assert "has no" in str(error)
    whole, cut = (load_checkpoint(tmp_path / folder / LAST) for folder in ("whole", "cut"))
    assert digest(whole) == digest(cut)
