"""What runs, trials, comparisons and adaptations report, with a tracker that keeps it in a list."""

import json
import logging

import pytest

from recbole_sda.comparison.compare import compare
from recbole_sda.engine import experiment
from recbole_sda.errors import InputError
from recbole_sda.tracking.trackers import IDS, TrackedRun, TrackerError, start_or_warn, start_trackers
from recbole_sda.tune.search import Search
from recbole_sda.tune.space import Domain, Space
from recbole_sda.tune.tracked_search import describe_search, track_search
from recbole_sda.tune.trial import train_trial


@pytest.fixture
def keys(tiny_keys, tmp_path):
    return {**tiny_keys, "track": ["mlflow"], "track_options": {"experiment": "e"}, "run_dir": str(tmp_path / "run")}


def named(kept, name):
    return [call[1:] for call in kept if call[0] == name]


def test_a_run_reports_its_history_and_result(kept, keys, tmp_path):
    result = experiment.run("BPR_SDA", "tiny", overrides=keys)
    ((run, known, parent),) = named(kept, "start")
    assert (run.name, run.kind, known, parent) == ("run", "run", None, None)
    assert run.config["learning_rate"] == 0.001 and "track" not in run.config
    history = [json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()]
    logged = named(kept, "log")
    assert [step for step, _ in logged] == [1, 1, 2, 2]
    assert logged[0][1]["train/loss/recommendation"] == history[0]["loss"]["recommendation"]
    assert logged[3][1]["valid/ndcg@10"] == history[3]["ndcg@10"]
    ((step, values, notes),) = named(kept, "describe")
    assert (
        step == 2
        and values["test/ndcg@10"] == result["test"]["ndcg@10"]
        and values["run/best_epoch"] == result["best_epoch"]
    )
    assert "full sort over 37 items" in notes["protocol"] and "seed 2020 | epoch" in notes["protocol"]
    assert kept[-1] == ("end", True)


def test_a_resumed_run_continues_its_record(kept, keys, tmp_path):
    experiment.run("BPR", "tiny", overrides={**keys, "epochs": 1})
    experiment.resume(tmp_path / "run", {"epochs": 2})
    (_, first, _), (_, second, _) = named(kept, "start")
    assert first is None and second == "id1" == json.loads((tmp_path / "run" / IDS).read_text())["mlflow"]
    assert [step for step, _ in named(kept, "log")] == [1, 1, 2, 2]


def test_the_keys_can_change_when_a_run_is_resumed(kept, tiny_keys, tmp_path):
    experiment.run("BPR", "tiny", overrides={**tiny_keys, "epochs": 1, "run_dir": str(tmp_path / "run")})
    assert kept == []
    experiment.resume(tmp_path / "run", {"epochs": 2, "track": ["mlflow"]})
    assert named(kept, "start") and [step for step, _ in named(kept, "log")] == [2, 2]


@pytest.mark.parametrize("part", ["log", "describe", "end"])
def test_a_tracker_that_fails_loses_no_run(kept, keys, tmp_path, caplog, part):
    kept.fail = part
    with caplog.at_level(logging.WARNING):
        result = experiment.run("BPR", "tiny", overrides=keys)
    assert (tmp_path / "run/metrics.json").is_file() and result["epochs_run"] == 2
    warnings = [record.getMessage() for record in caplog.records if "track:" in record.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].startswith("track: mlflow failed, and the run goes on without it: no answer from https://***@")
    assert "secret" not in warnings[0] and "A1A1" not in warnings[0] and "\n" not in warnings[0]


def test_a_tracker_that_cannot_start_is_an_error_before_training(kept, keys, tmp_path):
    kept.fail = "start"
    with pytest.raises(TrackerError, match="track: mlflow cannot be started: no answer from"):
        experiment.run("BPR", "tiny", overrides=keys)
    assert not (tmp_path / "run").exists()


def test_a_stopped_run_ends_its_record(kept, keys, monkeypatch, tmp_path):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("recbole_sda.engine.trainer.RunTrainer.evaluate", stop)
    with pytest.raises(KeyboardInterrupt):
        experiment.run("BPR", "tiny", overrides={**keys, "eval_step": 0})
    assert kept[-1] == ("end", False)


def test_damaged_ids(kept, tmp_path):
    (tmp_path / IDS).write_text('{"mlflow": 3}')
    with pytest.raises(InputError, match="tracking.json: mlflow: 3: expected a text"):
        start_trackers(["mlflow"], {}, TrackedRun("r", tmp_path, "run", {}))


def test_many_runs_go_on_without_a_tracker(kept, tmp_path, caplog):
    kept.fail = "start"
    with (
        caplog.at_level(logging.WARNING),
        start_or_warn(["mlflow"], {}, TrackedRun("r", tmp_path, "trial", {})) as trackers,
    ):
        trackers.log(1, "train", {"loss": 1.0})
    assert caplog.text.count("this run goes on without trackers") == 1 and kept == []


def test_a_search_and_its_trials(kept, keys, tmp_path):
    del keys["run_dir"]
    space = Space({"learning_rate": Domain("choice", [0.01, 0.1])}, samples=None)
    search = Search("BPR", "tiny", space, (), keys, out=tmp_path / "search")
    with track_search(search) as trackers:
        trial = search.trial({"learning_rate": 0.1})
        train_trial(trial, lambda *values: None)
        result = experiment.evaluate_untested_run(trial.folder)
        found = {"best": {"score": 0.5, "folder": "trials/x", "settings": {"learning_rate": 0.1}}}
        describe_search(trackers, found, result)
    (parent, _, _), (child, _, parent_id) = named(kept, "start")
    assert (parent.kind, parent.name, parent.group) == ("search", "search", "search")
    assert "learning_rate" in str(parent.config["space"])
    assert (child.kind, child.group, parent_id) == ("trial", "search", "id1") and child.config["learning_rate"] == 0.1
    assert [call for call in kept if call[0] == "end"] == [("end", True)] * 2
    described = named(kept, "describe")
    assert described[0][1]["test/ndcg@10"] == result["test"]["ndcg@10"]
    assert described[1][1:] == (
        {"search/best_score": 0.5},
        {"best_trial": "trials/x", "best_settings": "{'learning_rate': 0.1}"},
    )
    untracked = Search("BPR", "tiny", space, (), {**keys, "track": []}, out=tmp_path / "search")
    assert untracked.trial({"learning_rate": 0.1}).folder == trial.folder  # trackers make no other trial


def test_the_runs_of_a_comparison_are_a_group(kept, keys, tmp_path, caplog):
    del keys["run_dir"]
    plan = {
        "datasets": ["tiny"],
        "seeds": [1],
        "models": {"Row A": {"model": "BPR"}, "Pop": {}},
        "keys": {**keys, "epochs": 1},
    }
    compare(plan, out=tmp_path / "shop")
    assert [start[0].name for start in named(kept, "start")] == ["Row A on tiny, seed 1", "Pop on tiny, seed 1"]
    settings = (tmp_path / "shop/tiny/Row-A/seed1/config.yaml").read_text()
    assert "group: shop" in settings and "experiment: e" in settings
    kept.clear()
    compare({**plan, "keys": {**plan["keys"], "track": []}}, out=tmp_path / "shop")  # the finished runs are the same
    assert kept == []
