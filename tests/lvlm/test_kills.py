"""Adaptations and extractions that are killed at chosen places, and two processes at one folder."""

import pytest
import torch
import yaml
from safetensors.torch import load_file

from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.io.atomic_folder import folder_lock
from recbole_sda.io.locks import exclusive_lock
from recbole_sda.lvlm import adaptation, adapters, extraction
from recbole_sda.lvlm.adaptation import Adaptation, resume_adaptation, run_adaptation
from recbole_sda.lvlm.extraction import run_extraction

WEIGHTS = "adapter/adapter_model.safetensors"


class Killed(BaseException):
    """What stands for a kill: no handler of errors sees it."""


def kill_at(patch, owner, name, number):
    """Kill at the n-th call of a function, before it does anything."""
    original, calls = getattr(owner, name), []

    def call(*args, **keys):
        calls.append(name)
        if len(calls) == number:
            raise Killed
        return original(*args, **keys)

    patch.setattr(owner, name, call)


def state(folder):
    record = yaml.safe_load((folder / "adapt.yaml").read_text())
    return torch.load(folder / "last.pt"), load_file(folder / WEIGHTS), (folder / "history.jsonl").read_text(), record


def assert_same(one, two):
    (last, weights, history, record), (last2, weights2, history2, record2) = state(one), state(two)
    assert last["step"] == last2["step"] and last["best"] == last2["best"] and history == history2 and record == record2
    assert all(torch.equal(value, weights2[name]) for name, value in weights.items())
    trained = last["training"]["adapter"]
    assert all(torch.equal(value, last2["training"]["adapter"][name]) for name, value in trained.items())


PLACES = [
    (adapters, "save", 1),
    (adaptation, "save_checkpoint", 1),
    (Adaptation, "_write_record", 1),
    (Adaptation, "_evaluate", 2),
    (adaptation, "save_checkpoint", 2),
    (Adaptation, "_write_record", 2),
    (Adaptation, "_write_record", 3),
]


@pytest.mark.parametrize("owner, name, number", PLACES, ids=[f"{name}-{k}" for _, name, k in PLACES])
def test_the_command_that_is_named_goes_on(stage, tmp_path, monkeypatch, owner, name, number):
    settings = stage(dropout=0.1, patience=3)
    run_adaptation(settings, tmp_path / "whole")
    cut = tmp_path / "cut"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, owner, name, number)
        run_adaptation(settings, cut)
    if (cut / "last.pt").is_file():
        with pytest.raises(InputError, match="exists already: continue it with --resume="):
            run_adaptation(settings, cut)
        resume_adaptation(cut)
    else:
        with pytest.raises(InputError, match="has no finished evaluation: the command that started it starts it again"):
            resume_adaptation(cut)
        run_adaptation(settings, cut)
    assert_same(tmp_path / "whole", cut)


def test_what_is_no_adaptation_is_not_emptied(stage, tmp_path):
    (tmp_path / "own/adapter").mkdir(parents=True)
    (tmp_path / "own/adapter/weights").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        run_adaptation(stage(), tmp_path / "own")
    with pytest.raises(InputError, match="holds no state of an adaptation: last.pt is missing"):
        resume_adaptation(tmp_path / "own")
    assert (tmp_path / "own/adapter/weights").read_text() == "mine"


def test_step_0_is_evaluated_once_with_patience_1(stage, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, torch.optim.AdamW, "step", 1)
        run_adaptation(stage(patience=1), tmp_path / "cut")
    resume_adaptation(tmp_path / "cut")
    run_adaptation(stage(patience=1), tmp_path / "whole")
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_a_killed_extraction_goes_on_by_the_same_command(stage, tmp_path, monkeypatch):
    settings = stage(shard_items=10)
    run_extraction(settings, tmp_path / "whole")
    for number, (owner, name, call) in enumerate([(extraction.Shards, "write", 3), (extraction, "write_store", 1)]):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_at(patch, owner, name, call)
            run_extraction(settings, tmp_path / f"cut{number}")
        run_extraction(settings, tmp_path / f"cut{number}")
        assert FeatureStore(tmp_path / f"cut{number}").sha256 == FeatureStore(tmp_path / "whole").sha256


def test_one_process_writes_a_folder(stage, tmp_path):
    with folder_lock(tmp_path / "st"), pytest.raises(InputError, match="st: another process is writing this folder"):
        run_extraction(stage(), tmp_path / "st")
    (tmp_path / "a").mkdir()
    with exclusive_lock(tmp_path / "a/.lock", ""), pytest.raises(InputError, match="a: another process is using"):
        run_adaptation(stage(), tmp_path / "a")
