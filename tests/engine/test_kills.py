"""Runs that are killed at chosen places go on by the command that the same command names, and equal a run without a kill."""

import errno
import json

import pytest
import torch

from recbole_sda.engine import experiment, trainer, trainer_checkpoints
from recbole_sda.engine.run_folder import has_no_run
from recbole_sda.errors import InputError
from recbole_sda.io import checkpoint


class Killed(BaseException):
    """What stands for a kill: no handler of errors sees it."""


def kill(*args, **keys):
    raise Killed


@pytest.fixture
def small(keys):
    return {**keys, "epochs": 2, "topk": [5], "valid_metric": "NDCG@5"}


PLACES = {
    "before config.yaml": (experiment, "write_config"),
    "while data are read": (experiment, "build"),
    "before item_ids.txt": (experiment, "_begin"),
    "before the first line of history.jsonl": (trainer, "append_history"),
    "before best.pt": (trainer_checkpoints, "save_checkpoint"),
    "between best.pt and last.pt": (trainer.RunTrainer, "_save_last"),
    "before the ranks": (experiment, "write_result"),
}


def test_a_kill_at_every_place(small, tmp_path, monkeypatch, comparable, history):
    given = {**small, "run_dir": str(tmp_path / "whole")}
    whole = experiment.run("SASRec_SDA", "tiny", (), given)
    for place, (owner, name) in PLACES.items():
        folder = tmp_path / place
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(owner, name, kill)
            experiment.run("SASRec_SDA", "tiny", (), {**given, "run_dir": str(folder)})
        torch.manual_seed(99)
        if has_no_run(folder):
            result = experiment.run("SASRec_SDA", "tiny", (), {**given, "run_dir": str(folder)})
        else:
            with pytest.raises(InputError, match="exists already; resume it with --resume="):
                experiment.run("SASRec_SDA", "tiny", (), {**given, "run_dir": str(folder)})
            result = experiment.resume(folder)
        assert comparable(result) == comparable(whole), place
        assert history(folder) == history(tmp_path / "whole"), place
        assert (folder / "item_ids.txt").read_bytes() == (tmp_path / "whole/item_ids.txt").read_bytes(), place


def test_a_begun_run_is_not_removed_by_a_failed_resume(small, tmp_path, monkeypatch):
    folder = tmp_path / "cut"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(experiment, "build", kill)
        experiment.run("BPR", "tiny", (), {**small, "run_dir": str(folder)})
    with pytest.raises(InputError, match="has no trained weights yet .*; --resume=.* trains it"):
        experiment.evaluate(folder)
    with pytest.raises(InputError, match="cut was made on tiny, which is no longer in"):
        experiment.resume(folder, {"data_path": str(tmp_path / "nowhere")})
    assert experiment.resume(folder)["epochs_run"] == 2


@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_a_full_disk_names_the_file_and_the_run_goes_on(small, tmp_path, monkeypatch, comparable, name):
    whole = experiment.run("BPR", "tiny", (), {**small, "run_dir": str(tmp_path / "whole")})
    save = torch.save

    def full(state, path):
        if f".{name}." in str(path):
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")
        save(state, path)

    with monkeypatch.context() as patch, pytest.raises(OSError) as caught:
        patch.setattr(checkpoint.torch, "save", full)
        experiment.run("BPR", "tiny", (), {**small, "run_dir": str(tmp_path / "cut")})
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(tmp_path / f"cut/checkpoint/{name}")
    assert comparable(experiment.resume(tmp_path / "cut")) == comparable(whole)


def test_a_loss_that_is_not_finite(small, tmp_path):
    with pytest.raises(InputError, match="epoch [12]: the loss is (nan|inf); a lower learning_rate .now 1e"):
        experiment.run("BPR", "tiny", (), {**small, "learning_rate": 1e30, "run_dir": str(tmp_path / "a")})


def test_metrics_are_those_of_the_whole_history(small, tmp_path, comparable):
    """The last line of the history is cut short by a kill of the system while it is written."""
    whole = experiment.run("BPR", "tiny", (), {**small, "run_dir": str(tmp_path / "a")})
    path = tmp_path / "a/history.jsonl"
    path.write_text(path.read_text() + '{"epoch": 2, "ph')
    assert comparable(experiment.resume(tmp_path / "a")) == comparable(whole)
    assert [json.loads(line)["epoch"] for line in path.read_text().splitlines()] == [0, 0, 1, 1]
