"""A trial trains without test data, and goes on where it was stopped."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from recbole_sda.data.datasets import load_data
from recbole_sda.engine.experiment import evaluate_untested_run, resume
from recbole_sda.io.checkpoint import BEST, load_checkpoint
from recbole_sda.tune.trial import Trial, outcome, train_trial, trial_folder


def run_trial(folder, keys, dataset="tiny", stop_after=None):
    told = []

    def report(epoch, score, best):
        told.append((epoch, score, best))
        if stop_after and epoch >= stop_after:
            raise InterruptedError

    trial = Trial("SASRec_SDA", dataset, (), keys, folder)
    if stop_after:
        with pytest.raises(InterruptedError):
            train_trial(trial, report)
    else:
        train_trial(trial, report)
    return told


def with_other_test_items(path):
    """Replace every user's last item by one that the user has not bought."""
    table = pd.read_csv(path, sep="\t")
    items = sorted(set(table["item_id:token"]))
    changed = 0
    for user, rows in table.groupby("user_id:token"):
        free = sorted(set(items) - set(rows["item_id:token"]))
        if not user.startswith("first"):
            table.loc[rows.index[-1], "item_id:token"] = free[len(rows) % len(free)]
            changed += 1
    table.to_csv(path, sep="\t", index=False)
    assert changed > 40


@pytest.mark.parametrize("model", ["SASRec_SDA", "BPR_SDA", "LightGCN"])
def test_a_trial_cannot_see_test_data(tiny_keys, tmp_path, write_tiny, model):
    """Other test items leave validation scores and weights as they are, bit for bit."""
    found = []
    for name in ("clean", "other"):
        path = write_tiny(tmp_path / name) / "tiny.inter"
        header, *lines = path.read_text().splitlines()
        items = sorted({line.split("\t")[1] for line in lines})
        # Two users with all items between them come first, so that items get the same ids in both.
        first = [f"first{t % 2}\t{item}\t{t}" for t, item in enumerate(items)]
        path.write_text("\n".join([header, *first, *lines]) + "\n")
        if name == "other":
            with_other_test_items(path)
        keys = {**tiny_keys, "data_path": str(tmp_path / name), "epochs": 2}
        told = []
        train_trial(
            Trial(model, "tiny", (), keys, tmp_path / f"run-{name}"), lambda *line, told=told: told.append(line)
        )
        found.append((told, load_checkpoint(tmp_path / f"run-{name}" / BEST)["state_dict"]))
    assert len(found[0][0]) == 2 and found[0][0] == found[1][0]
    for name, value in found[0][1].items():
        assert torch.equal(value, found[1][1][name]), name


def test_data_without_test_hold_no_interactions_but_training_and_validation(build):
    config = build.config("BPR_SDA")
    data = load_data(config, with_test=False)
    assert data.test is None and data.dataset.inter_feat is None
    whole = load_data(config)
    assert (data.counts.items == whole.counts.items).all()


def test_a_stopped_trial_goes_on_and_tells_the_same(tiny_keys, tmp_path):
    keys = {**tiny_keys, "epochs": 4, "stopping_step": 10}
    whole = run_trial(tmp_path / "whole", keys)
    assert [line[0] for line in whole] == [1, 2, 3, 4]
    assert all(line[2] == max(other[1] for other in whole[: k + 1]) for k, line in enumerate(whole))
    run_trial(tmp_path / "cut", keys, stop_after=2)
    assert run_trial(tmp_path / "cut", keys) == whole
    assert run_trial(tmp_path / "cut", keys) == whole  # once ended, it is told again and not trained again
    best = outcome(tmp_path / "cut", "NDCG@10", True)
    assert best.score == max(line[1] for line in whole) and best.epochs == 4


def test_folders_are_named_by_all_that_makes_the_result(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("epochs: 3")

    def named(model="A", files=(), keys=None, inputs=None) -> Path:
        return trial_folder(tmp_path, model, "d", files, keys or {"x": 1}, inputs or {"interactions": "5f"})

    names = {named(), named(files=(str(file),)), named("B"), named(keys={"x": 2}), named(inputs={"interactions": "60"})}
    file.write_text("epochs: 4")
    names.add(named(files=(str(file),)))
    assert len(names) == 6
    assert named(keys={"x": 1, "y": 2}) == named(keys={"y": 2, "x": 1})
    assert named(keys={"x": 1, "data_path": "a"}) == named(keys={"x": 1, "data_path": "b"}) == named()
    other = tmp_path / "b.yaml"
    other.write_text("{data_path: elsewhere, epochs: 4}")
    assert named(files=(str(file),)) == named(files=(str(other),))


def test_a_trial_goes_on_with_its_data_elsewhere(tiny_keys, tmp_path, write_tiny):
    write_tiny(tmp_path / "data")
    keys = {**tiny_keys, "epochs": 3, "stopping_step": 10, "data_path": str(tmp_path / "data")}
    run_trial(tmp_path / "cut", keys, stop_after=1)
    shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    moved = {**keys, "data_path": str(tmp_path / "elsewhere")}
    assert len(run_trial(tmp_path / "cut", moved)) == 3
    assert evaluate_untested_run(tmp_path / "cut")["epochs_run"] == 3
    shutil.move(tmp_path / "elsewhere", tmp_path / "third")
    assert evaluate_untested_run(tmp_path / "cut", {"data_path": str(tmp_path / "third")})["epochs_run"] == 3


def test_a_trial_trains_no_base_model_also_when_it_is_resumed(tiny_keys, tmp_path):
    train_trial(
        Trial("BPR_SDA", "tiny", (), {**tiny_keys, "base_fallback": True}, tmp_path / "trial"), lambda *told: None
    )
    assert "fallback" not in evaluate_untested_run(tmp_path / "trial")
    assert "fallback" not in resume(tmp_path / "trial")
