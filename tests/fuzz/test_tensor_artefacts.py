"""Damaged checkpoints, feature stores, arrays, parquet files and optimizer states: a flipped byte is found and named."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from malformed import damaged_bytes, not_text

from recbole_sda.errors import InputError
from recbole_sda.features.importers import from_npy, from_parquet
from recbole_sda.features.store import FeatureStore
from recbole_sda.features.writer import write_store
from recbole_sda.io.cache import load_or_compute
from recbole_sda.io.checkpoint import load_checkpoint, save_checkpoint
from recbole_sda.io.optimizer_state import load_optimizer_state


def damage(outcomes, path, n, read, seed=0):
    sound = path.read_bytes()
    for name, content in [*not_text(), *damaged_bytes(sound, seed, n)]:
        path.write_bytes(content)
        outcomes.try_file(f"{path.name} {name}", path, lambda: read(path))
    path.write_bytes(sound)
    read(path)


def checkpoint(folder):
    path = folder / "last.pt"
    save_checkpoint(path, {"epoch": 3, "state_dict": {"w": torch.randn(20, 8)}, "numbers": [1.5, None, True, "x"]})
    return path


def store(folder):
    return write_store(folder / "s", ["a", "b", "c"], {"text": np.ones((3, 4), np.float32)}) / "features.safetensors"


def array(folder):
    np.save(folder / "x.npy", np.ones((3, 4), np.float32))
    (folder / "ids.txt").write_text("a\nb\nc\n")
    return folder / "x.npy"


def parquet(folder):
    pd.DataFrame({"item_id": ["a", "b"], "v": [[1.0, 2.0], [3.0, 4.0]]}).to_parquet(folder / "x.parquet")
    return folder / "x.parquet"


CASES = [  # maker, reader, most that are taken of 10 + n
    (checkpoint, load_checkpoint, 0.33),  # padding between the records, names and times of a zip file are not values
    (store, lambda path: FeatureStore(path.parent), 0),
    (array, lambda path: from_npy({"text": path}, path.parent / "ids.txt"), 0.6),  # npy has no checksum: values change
    (parquet, lambda path: from_parquet(path, {"text": "v"}), 0.6),  # likewise
]


@pytest.mark.parametrize("make, read, share", CASES, ids=["checkpoint", "store", "npy", "parquet"])
def test_damaged_files(tmp_path, outcomes, make, read, share):
    damage(outcomes, make(tmp_path), 60, read)
    outcomes.check(70, round(share * 70))


@pytest.mark.slow
@pytest.mark.parametrize("make, read, share", CASES, ids=["checkpoint", "store", "npy", "parquet"])
def test_many_damaged_files(tmp_path, outcomes, make, read, share):
    damage(outcomes, make(tmp_path), 2000, read, seed=1)
    outcomes.check(2000, round(share * 2010))


def test_a_changed_value_of_a_checkpoint_is_found(tmp_path):
    """Also where the file itself is sound: another program has written it again."""
    path = checkpoint(tmp_path)
    state = torch.load(path, weights_only=True)
    for change in (
        {"epoch": 4},
        {"state_dict": {"w": state["state_dict"]["w"].flip(0)}},
        {"numbers": [1.5, None, True, "y"]},
    ):
        torch.save({**state, **change}, path)
        with pytest.raises(InputError, match="last.pt was changed after it was written"):
            load_checkpoint(path)


def test_a_changed_cache_is_computed_again(tmp_path, caplog):
    from safetensors.torch import save_file

    path = tmp_path / "view.safetensors"
    for other in (
        {"view": torch.zeros(2)},
        {"other": torch.ones(2)},
        {"view": torch.ones(3)},
        {"view": torch.ones(2, dtype=torch.int64)},
    ):
        save_file(other, path)
        assert load_or_compute(path, lambda: {"view": torch.ones(2)})["view"].tolist() == [1, 1]
    assert load_or_compute(path, lambda: {"view": torch.zeros(2)})["view"].tolist() == [1, 1]


def trained(kind=torch.optim.Adam, **keys):
    layer = torch.nn.Linear(4, 3)
    optimizer = kind(layer.parameters(), lr=0.1, **keys)
    layer(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    return layer, optimizer


KINDS = [
    (torch.optim.Adam, {"fused": True}),
    (torch.optim.AdamW, {}),
    (torch.optim.SGD, {"momentum": 0.9}),
    (torch.optim.Adagrad, {}),
    (torch.optim.RMSprop, {}),
]


@pytest.mark.parametrize("kind, keys", KINDS)
def test_a_sound_state_is_restored(kind, keys):
    _, optimizer = trained(kind, **keys)
    state = copy.deepcopy(optimizer.state_dict())
    _, other = trained(kind, **keys)
    load_optimizer_state(other, state, "last.pt")
    restored = other.state_dict()["state"]
    assert all(torch.equal(value, restored[key][name]) for key, of in state["state"].items() for name, value in of.items()
               if isinstance(value, torch.Tensor))  # fmt: skip


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda s: s["state"][0].update(exp_avg=torch.ones(2)),
            r"parameter 0: exp_avg has the shape \(2,\), expected \(3, 4\)",
        ),
        (lambda s: s["state"][0].update(exp_avg_sq=torch.ones(3, 4, dtype=torch.int64)), "exp_avg_sq has the type"),
        (
            lambda s: s["state"][0].update(exp_avg=torch.full((3, 4), float("nan"))),
            "exp_avg has values that are not finite",
        ),
        (lambda s: s["state"][0].update(step=torch.ones(5)), "step has the shape"),
        (lambda s: s["state"][0].pop("exp_avg"), "exp_avg is missing"),
        (lambda s: s["state"].update({7: {}}), "parameter 7 is none of the optimizer's"),
        (lambda s: s["state"].update({0: []}), "parameter 0: a list: expected an object"),
        (lambda s: s["param_groups"][0].update(params=[0]), r"groups of \[1\] parameters"),
        (lambda s: s["param_groups"][0].update(params=[0, 0]), "occurs twice"),
        (lambda s: s["param_groups"][0].update(lr="x"), "group 1: lr='x'"),
        (lambda s: s["param_groups"][0].update(betas=[0.9]), "group 1: betas"),
        (lambda s: s.update(param_groups=[]), r"groups of \[\] parameters"),
        (lambda s: s.pop("state"), "lacks 'state'"),
    ],
)
def test_a_state_of_another_shape_is_refused(change, message):
    _, optimizer = trained(fused=True)
    state = copy.deepcopy(optimizer.state_dict())
    change(state)
    with pytest.raises(InputError, match=f"last.pt.*{message}"):
        load_optimizer_state(optimizer, state, "last.pt")
