"""The whole search with Ray: draws, stops, remembers, tests once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from recbole_sda.engine import experiment
from recbole_sda.engine.run import configure
from recbole_sda.errors import InputError
from recbole_sda.tune.search import Search, tune_settings
from recbole_sda.tune.space import Domain, Space

SPACE = "samples: 4\ngrace_epochs: 1\nseed: 3\nspace:\n  learning_rate: {loguniform: [1e-4, 1e-1]}\n  id_shrinkage: [0, 5]\n"


def command(folder: Path, data_path, out: str) -> list:
    (folder / "space.yaml").write_text(SPACE)
    keys = {"data_path": data_path, "epochs": 3, "train_batch_size": 64, "MAX_ITEM_LIST_LENGTH": 8, "use_gpu": False}
    words = [f"--{key}={value}" for key, value in {**keys, "topk": "[5,10]", "out": out, "threads": 1}.items()]
    run = str(Path(__file__).resolve().parents[2] / "run_recbole_sda.py")
    return [sys.executable, run, "--tune=space.yaml", "--model=SASRec_SDA", "--dataset=tiny", *words]


def test_a_search_tests_its_best_trial_alone(tmp_path, tiny_keys):
    space = Space({"id_shrinkage": Domain("choice", [0, 5])}, samples=None, grace_epochs=1)
    result = tune_settings("SASRec_SDA", "tiny", space, (), tiny_keys, out=tmp_path)
    found = json.loads((tmp_path / "search.json").read_text())
    assert sorted(trial["settings"]["id_shrinkage"] for trial in found["trials"]) == [0, 5]
    assert found["best"] == max(found["trials"], key=lambda trial: trial["score"])
    assert [path.parent for path in tmp_path.glob("trials/*/metrics.json")] == [tmp_path / found["best"]["folder"]]
    assert abs(result["valid"]["ndcg@10"] - found["best"]["score"]) < 1e-6 and result["test"]
    assert not (tmp_path / ".ray-tune").exists()
    log = (tmp_path / found["best"]["folder"] / "run.log").read_text()
    assert "validation NDCG@10" in log or "validation ndcg@10" in log


def test_other_vectors_are_searched_anew(tmp_path, tiny_keys, write_tiny, other_vectors):
    """Their trials have folders of their own, so that no score of the search before counts."""
    folder = write_tiny(tmp_path / "data")
    keys = {**tiny_keys, "data_path": str(tmp_path / "data")}
    space = Space({"id_shrinkage": Domain("choice", [0])}, samples=None, grace_epochs=1)

    def trial_of(model: str) -> Path:
        return Search(model, "tiny", space, (), keys, out=tmp_path).trial({"id_shrinkage": 0}).folder

    before = trial_of("BPR_SDA")
    assert trial_of("BPR_SDA") == before
    other_vectors(folder)
    assert trial_of("BPR_SDA") != before


def test_the_best_settings_are_those_of_the_trial(tmp_path, tiny_keys):
    """Also where files and keys give parts of eval_args."""
    (tmp_path / "x.yaml").write_text("eval_args: {mode: uni5}\n")
    space = Space({"learning_rate": Domain("choice", [0.1])}, samples=None, grace_epochs=1)
    keys = {**tiny_keys, "eval_args": {"order": "RO"}}
    search = Search("BPR", "tiny", space, [tmp_path / "x.yaml"], keys, out=tmp_path)
    search._write_best({"learning_rate": 0.1})
    trial = search.trial({"learning_rate": 0.1})
    configs = [
        configure("BPR", "tiny", trial.config_files, trial.keys),
        configure("BPR", "tiny", [tmp_path / "best.yaml"]),
    ]
    assert configs[0].resolved["eval_args"] == configs[1].resolved["eval_args"]
    assert configs[0]["eval_args"]["order"] == "RO" and configs[0]["eval_args"]["mode"] == {
        "valid": "uni5",
        "test": "uni5",
    }


@pytest.mark.slow
def test_a_killed_search_goes_on_to_the_same_result(tmp_path, data_path):
    done = subprocess.run(command(tmp_path, data_path, "whole"), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cut = subprocess.Popen(
        command(tmp_path, data_path, "cut"),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    seen = ""
    while "trial 2" not in seen:  # stopped in the middle, two of four trials ended
        line = cut.stderr.readline()
        assert line, seen
        seen += line
    cut.send_signal(signal.SIGINT)
    cut.wait(60)
    rest = cut.stderr.read()
    assert cut.returncode == 130 and "the same command goes on" in rest, rest
    started = time.time()
    again = subprocess.run(command(tmp_path, data_path, "cut"), cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    found = {name: json.loads((tmp_path / name / "search.json").read_text()) for name in ("whole", "cut")}
    assert found["whole"]["trials"] == found["cut"]["trials"] and len(found["cut"]["trials"]) == 4
    folders = [tmp_path / "cut" / trial["folder"] for trial in found["cut"]["trials"]]
    kept = [folder for folder in folders if os.path.getmtime(folder / "item_ids.txt") < started]
    assert len(kept) >= 2  # not started anew
    best = found["cut"]["best"]
    tested = [folder for folder in folders if (folder / "metrics.json").is_file()]
    assert tested == [tmp_path / "cut" / best["folder"]]  # one trial, and that one once
    results = [json.loads((tmp_path / name / best["folder"] / "metrics.json").read_text()) for name in found]
    assert results[0]["test"] == results[1]["test"] and results[0]["groups"] == results[1]["groups"]
    assert abs(results[0]["valid"]["ndcg@10"] - best["score"]) < 1e-6
    values = yaml.safe_load((tmp_path / "cut" / "best.yaml").read_text())
    assert values["model"] == "SASRec_SDA" and values["id_shrinkage"] == best["settings"]["id_shrinkage"]
    rerun = experiment.run(
        "SASRec_SDA", "tiny", [tmp_path / "cut" / "best.yaml"], {"runs_path": str(tmp_path / "runs")}
    )
    assert rerun["test"] == results[0]["test"]  # the main command makes the same model of it


@pytest.mark.parametrize(
    "keys, options, message",
    [
        ({"learning_rate": 0.1}, {}, "learning_rate is both given and searched for"),
        ({}, {"parallel": 0}, "parallel=0"),
        ({}, {"gpus": "abc"}, "gpus='abc': expected a number at least 0"),
        ({"epochz": 3}, {}, "epochz"),
    ],
)
def test_wrong_searches_are_refused_before_anything_starts(tiny_keys, tmp_path, keys, options, message):
    space = Space({"learning_rate": Domain("choice", [0.1, 0.2])})
    with pytest.raises(InputError, match=message):
        Search("SASRec_SDA", "tiny", space, (), {**tiny_keys, **keys}, tmp_path, **options)
    with pytest.raises(InputError, match="search space: SASRec does not read id_shrinkage"):
        Search("SASRec", "tiny", Space({"id_shrinkage": Domain("choice", [1])}), (), tiny_keys, tmp_path)
    with pytest.raises(InputError, match="search space: 'learning_rat'"):
        Search("SASRec_SDA", "tiny", Space({"learning_rat": Domain("choice", [1])}), (), tiny_keys, tmp_path)
