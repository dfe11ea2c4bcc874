"""Searches by Optuna through Ray Tune: fast objectives, the suggestions, and a search of real runs."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recbole_sda.errors import InputError
from recbole_sda.machine.ray_session import ray_session
from recbole_sda.tune import suggested_trials
from recbole_sda.tune.ray_trials import Training
from recbole_sda.tune.search import Search
from recbole_sda.tune.space import Domain, Space
from recbole_sda.tune.space_file import read_space
from recbole_sda.tune.stages import Stage, StagedSpace

optuna = pytest.importorskip("optuna")

DOMAINS = {
    "rate": Domain("loguniform", [1e-4, 1.0]),
    "size": Domain("randint", [1, 9]),
    "width": Domain("quniform", [0.0, 1.0, 0.25]),
    "kind": Domain("choice", [[64, 64], "b", None]),
    "pair": Domain("together", [{"x": 1, "y": 2}, {"x": 3, "y": 4}]),
}
SPACE = Space(DOMAINS, samples=8, seed=4, search_alg="optuna")


def suggestions(space: Space, n: int, record: Path, score=lambda settings: 0.0, **options) -> list:
    """The settings of n suggestions, each told its score before the next one, without Ray's processes."""
    options = {"recorded": [], "seed": space.seed, "metric": "best", "mode": "max", **options}
    search = suggested_trials.DistinctSuggestions(record, **options)
    search.set_search_properties("best", "max", {name: domain.distribution() for name, domain in space.domains.items()})
    found = []
    for k in range(n):
        drawn = search.suggest(str(k))
        if drawn == search.FINISHED:
            break
        found.append(space.suggested(drawn))
        search.on_trial_complete(str(k), {"best": score(found[-1]), "training_iteration": 1})
    return found


def test_each_kind_of_domain(tmp_path):
    found = suggestions(SPACE, 40, tmp_path / "record.jsonl")
    assert all(set(one) == {"rate", "size", "width", "kind", "x", "y"} for one in found)
    assert all(1e-4 <= one["rate"] <= 1 and one["size"] in range(1, 9) for one in found)
    assert {one["width"] for one in found} <= {0.0, 0.25, 0.5, 0.75, 1.0}
    assert {str(one["kind"]) for one in found} == {"[64, 64]", "b", "None"}
    assert {(one["x"], one["y"]) for one in found} == {(1, 2), (3, 4)}
    assert not any(isinstance(value, np.generic) for one in found for value in one.values())
    lines = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert [SPACE.suggested(line) for line in lines] == found


def test_scores_lead_the_search(tmp_path):
    """A smooth objective of two keys: after its random start Optuna comes nearer to the optimum than random draws."""

    def score(settings) -> float:
        return -((math.log10(settings["rate"]) + 2) ** 2) - 4 * (settings["share"] - 0.3) ** 2

    domains = {"rate": Domain("loguniform", [1e-4, 1.0]), "share": Domain("uniform", [0.0, 1.0])}
    gains = []
    for seed in range(5):
        space = Space(domains, samples=40, seed=seed)
        found = suggestions(space, 40, tmp_path / f"{seed}.jsonl", score)
        drawn = np.mean([score(one) for one in space.settings()[20:]])
        gains.append(np.mean([score(one) for one in found[20:]]) - drawn)
    assert np.mean(gains) > 0.3 and min(gains) > 0


def test_a_seed_and_the_scores_decide(tmp_path):
    first = suggestions(SPACE, 15, tmp_path / "a")
    assert suggestions(SPACE, 15, tmp_path / "b") == first
    assert suggestions(SPACE, 15, tmp_path / "c", seed=5) != first
    changed = suggestions(SPACE, 15, tmp_path / "d", lambda settings: settings["rate"])
    assert changed[:10] == first[:10] and changed != first  # the first ten are random


def test_no_settings_twice_and_the_end_of_a_small_space(tmp_path):
    space = Space({"a": Domain("choice", [1, 2, 3]), "b": Domain("randint", [0, 2])}, samples=50, search_alg="optuna")
    found = suggestions(space, 50, tmp_path / "record", lambda settings: settings["a"])
    assert len(found) == len({str(one) for one in found}) and 5 <= len(found) <= 6


def test_what_was_suggested_before_comes_first(tmp_path):
    first = suggestions(SPACE, 5, tmp_path / "record")
    lines = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    again = suggestions(SPACE, 8, tmp_path / "record", recorded=lines, points_to_evaluate=lines, seed=SPACE.seed + 5)
    assert again[:5] == first and len({str(one) for one in again}) == 8
    assert len((tmp_path / "record").read_text().splitlines()) == 8


def test_spaces(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("search_alg: optuna\nsamples: 3\nspace:\n  a: {uniform: [0, 1]}\n")
    space = read_space(path)
    assert space.search_alg == "optuna" and space.is_suggested and space.settings() == []
    assert not space.changed({"search_alg": "random"}, "x").is_suggested
    path.write_text("search_alg: optuna\nstages:\n- {name: s, space: {a: [1, 2], b: {uniform: [0, 1]}}}\n")
    assert read_space(path).stages[0].space.is_suggested
    every = Space({"a": Domain("choice", [1, 2])}, samples=2, search_alg="optuna")
    assert not every.is_suggested and every.settings() == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"search_alg": "optunna"}, "x: search_alg='optunna': allowed are random, optuna. Did you mean 'optuna'"),
        ({"search_alg": 1}, "x: search_alg=1: allowed are random, optuna"),
        (
            {"search_alg": "optuna", "samples": "grid"},
            "samples=grid tries every combination; leave out search_alg=optuna",
        ),
    ],
)
def test_wrong_options(changes, message):
    with pytest.raises(InputError, match=message):
        Space({"a": Domain("choice", [1, 2])}).changed(changes, "x")


def test_without_optuna(tiny_keys, tmp_path, monkeypatch):
    monkeypatch.setattr("recbole_sda.tune.search.find_spec", lambda name: None)
    space = Space({"learning_rate": Domain("uniform", [0.01, 0.1])}, samples=2, search_alg="optuna")
    with pytest.raises(InputError, match=r"search_alg=optuna needs Optuna: pip install -e '.\[optuna\]'"):
        Search("BPR", "tiny", space, (), tiny_keys, out=tmp_path)


@pytest.mark.slow
def test_trials_under_ray(tmp_path, monkeypatch):
    """Two trials at once; a trial that fails is an error of its own, and the search goes on."""

    def fast(trial, report, machine) -> None:
        if trial > 0.5:
            raise ValueError("too high")
        for epoch in range(1, 4):
            report(epoch, trial, trial)

    monkeypatch.setattr("recbole_sda.tune.ray_trials.train_trial", fast)
    space = Space({"rate": Domain("uniform", [0.0, 1.0])}, samples=8, grace_epochs=1, seed=1, search_alg="optuna")
    training = Training("NDCG@10", True, 3, 2, 0.0)
    with ray_session(None):
        ended = suggested_trials.run_suggested(
            lambda settings: settings["rate"], space, training, tmp_path / "record", tmp_path / "scratch"
        )
    assert len(ended) == 8 and len({one.settings["rate"] for one in ended}) == 8
    assert all(one.trial == one.settings["rate"] for one in ended)
    assert {"too high" in str(one.error) for one in ended if one.trial > 0.5} == {True}
    assert {one.error for one in ended if one.trial <= 0.5} == {None} and not (tmp_path / "scratch").exists()


@pytest.mark.slow
def test_a_real_search_and_its_continuation(tiny_keys, tmp_path):
    domains = {"learning_rate": Domain("loguniform", [1e-4, 1e-1]), "id_shrinkage": Domain("choice", [0.0, 5.0])}
    space = Space(domains, samples=4, grace_epochs=1, seed=3, search_alg="optuna")
    first = Search("SASRec_SDA", "tiny", space, (), tiny_keys, out=tmp_path / "a").run()
    assert len(first["trials"]) == 4 and first["best"]["score"] == max(trial["score"] for trial in first["trials"])
    histories = {path: path.read_text() for path in (tmp_path / "a").glob("trials/*/history.jsonl")}
    again = Search("SASRec_SDA", "tiny", space, (), tiny_keys, out=tmp_path / "a").run()
    assert again["trials"] == first["trials"]
    assert {path: path.read_text() for path in histories} == histories  # with their times: nothing was trained again
    more = Search("SASRec_SDA", "tiny", Space(domains, 6, 1, 3, 3, "optuna"), (), tiny_keys, out=tmp_path / "a").run()
    folders = {trial["folder"] for trial in more["trials"]}
    assert len(folders) == 6 and {trial["folder"] for trial in first["trials"]} < folders


@pytest.mark.slow
def test_stages(tiny_keys, tmp_path):
    rate = Space({"learning_rate": Domain("loguniform", [1e-3, 1e-1])}, samples=2, grace_epochs=1, search_alg="optuna")
    drop = Space({"id_dropout": Domain("uniform", [0.0, 0.5])}, samples=2, grace_epochs=1, search_alg="optuna")
    space = StagedSpace((Stage("rate", rate), Stage("dropout", drop)))
    result = Search("SASRec_SDA", "tiny", space, (), tiny_keys, out=tmp_path).run()
    first, second = result["stages"]
    assert len(first["trials"]) == len(second["trials"]) == 3  # the settings so far, and two suggestions
    best = first["best"]["settings"]["learning_rate"]
    assert {trial["settings"]["learning_rate"] for trial in second["trials"]} == {best}
    assert second["best"]["score"] >= first["best"]["score"]
    assert Search("SASRec_SDA", "tiny", space, (), tiny_keys, out=tmp_path).run()["stages"] == result["stages"]


@pytest.mark.slow
def test_the_command(tmp_path, data_path):
    (tmp_path / "space.yaml").write_text(
        "samples: 2\ngrace_epochs: 1\nspace:\n  learning_rate: {loguniform: [1e-4, 1e-1]}\n"
    )
    keys = {"data_path": data_path, "epochs": 1, "use_gpu": False, "topk": "[5,10]", "threads": 1, "out": "found"}
    words = [f"--{key}={value}" for key, value in keys.items()]
    run = str(Path(__file__).resolve().parents[2] / "run_recbole_sda.py")
    command = [sys.executable, run, "--tune=space.yaml", "--search_alg=optuna", "--model=BPR", "--dataset=tiny", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "trial 2 ended" in done.stderr and "best of 2 trials" in done.stderr and "optuna" not in done.stderr.lower()
