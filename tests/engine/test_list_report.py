"""The key list_metrics in runs: against RecBole's own metrics, with data from files, and wrong values before training."""

import json
from pathlib import Path

import numpy as np
import pytest

from recbole_sda.engine import experiment
from recbole_sda.engine.run_folder import read_metrics
from recbole_sda.engine.summary import result_table
from recbole_sda.errors import InputError

from ..conftest import N_ITEMS, write_tiny

ALL = ["arp", "aplt", "aclt", "novelty", "coverage", "gini", "diversity", "calibration"]


@pytest.fixture(scope="module")
def data_with_items(tmp_path_factory):
    """A folder with the tiny data set and an item file."""
    root = tmp_path_factory.mktemp("lists")
    rows = [f"i{k}\tc{k % 3} d{k % 2}\tkind {k % 4}" for k in range(N_ITEMS)]
    text = "\n".join(["item_id:token\tgenres:token_seq\tkind:token", *rows])
    (write_tiny(root) / "tiny.item").write_text(text + "\n")
    return root


@pytest.fixture
def keys(tiny_keys, data_with_items, tmp_path):
    return {**tiny_keys, "data_path": str(data_with_items), "runs_path": str(tmp_path / "runs"), "epochs": 1}


@pytest.fixture(scope="module")
def trained(short_keys, data_with_items, tmp_path_factory):
    """A run with all metrics, and RecBole's own ones of the same kind."""
    recbole = ["Hit", "NDCG", "AveragePopularity", "GiniIndex", "TailPercentage"]
    runs = str(tmp_path_factory.mktemp("runs"))
    keys = {**short_keys, "data_path": str(data_with_items), "runs_path": runs, "epochs": 1, "metrics": recbole}
    keys |= {"list_metrics": ALL, "list_categories": "genres", "tail_ratio": 3}
    return experiment.run("BPR", "tiny", (), keys)


def test_values_equal_those_of_recbole(trained):
    for k in (5, 10):
        ours, theirs = trained["lists"]["test"], trained["test"]
        assert ours[f"arp@{k}"] == pytest.approx(theirs[f"averagepopularity@{k}"], abs=1e-5)
        spread = trained["groups"]["test"]["spread"][f"@{k}"]
        assert (ours[f"coverage@{k}"], ours[f"gini@{k}"]) == pytest.approx(
            (spread["coverage"], spread["gini"]), abs=1e-5
        )
        assert ours[f"aclt@{k}"] == pytest.approx(k * ours[f"aplt@{k}"], abs=1e-4)


def test_the_result_is_in_the_file_and_in_the_table(trained):
    stored = read_metrics(Path(trained["run_dir"]))
    assert stored["lists"] == json.loads(json.dumps(trained["lists"]))
    assert list(stored["lists"]["test"]) == [f"{name}@{k}" for name in ALL for k in (5, 10)]
    assert set(stored["lists"]["valid"]) == set(stored["lists"]["test"])
    assert stored["lists"]["sources"] == {"diversity": "random/text", "calibration": "genres"}
    table = result_table(stored)
    assert f"{stored['lists']['test']['arp@10']:.4f}" in table and "calibration@10" in table
    assert 0 < stored["lists"]["test"]["diversity@10"] < 2 and stored["lists"]["test"]["calibration@10"] > 0


def test_off_by_default_and_later_by_another_evaluation(keys):
    result = experiment.run("SASRec", "tiny", (), keys)
    assert "lists" not in result
    more = {"list_metrics": ["diversity", "calibration"], "list_features": "random/image", "list_categories": "kind"}
    again = experiment.evaluate(result["run_dir"], more)
    assert again["test"] == result["test"] and list(again["lists"]["test"])[0] == "diversity@5"
    assert again["lists"]["sources"] == {"diversity": "random/image", "calibration": "kind"}


def test_sampled_candidates_have_no_lists(keys, caplog):
    result = experiment.run("BPR", "tiny", (), {**keys, "list_metrics": ["arp"], "eval_args": {"mode": "uni10"}})
    assert "lists" not in result and "list_metrics: not measured" in caplog.text
    mode = {"valid": "uni10", "test": "full"}
    again = experiment.evaluate(result["run_dir"], {"list_metrics": ["arp"], "eval_args": {"mode": mode}})
    assert list(again["lists"]) == ["test"]


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"list_metrics": ["novelti"]}, "list_metrics='novelti': allowed are arp, .*Did you mean 'novelty'"),
        ({"list_metrics": ["arp", "arp"]}, "'arp' is given twice"),
        ({"list_metrics": 3}, "list_metrics=3: expected a list of arp, "),
        ({"list_metrics": ["calibration"]}, "calibration needs list_categories"),
        (
            {"list_metrics": ["calibration"], "list_categories": "genre"},
            "has no column 'genre'; .*Did you mean 'genres'",
        ),
        ({"list_metrics": ["diversity"], "list_features": "rando"}, "no feature store 'rando'.*Did you mean 'random'"),
        ({"list_metrics": ["diversity"], "list_features": "random/titles"}, "has no modality 'titles'"),
        ({"list_metrics": ["diversity"], "list_features": 3}, "list_features=3: expected a name"),
    ],
)
def test_wrong_values_are_errors_before_training(keys, changed, message, tmp_path):
    with pytest.raises(InputError, match=message):
        experiment.run("BPR", "tiny", (), {**keys, **changed})
    assert not list(tmp_path.glob("runs/*"))


def test_calibration_without_an_item_file(keys, tmp_path):
    write_tiny(tmp_path)
    changed = {"data_path": str(tmp_path), "list_metrics": ["calibration"], "list_categories": "genres"}
    with pytest.raises(InputError, match="item file .*tiny.item does not exist"):
        experiment.run("BPR", "tiny", (), {**keys, **changed})


def test_values_of_a_run_against_a_loop(keys):
    """ARP of a popularity model: its lists are the most popular items that a user does not have."""
    result = experiment.run("Pop", "tiny", (), {**keys, "list_metrics": ["arp"], "topk": [1], "valid_metric": "NDCG@1"})
    run = experiment.load(result["run_dir"])
    popularity, known = run.data.counts.items, {}
    train, valid = run.data.train._dataset.inter_feat, run.data.valid._dataset.inter_feat
    for part in (train, valid):
        for user, item in zip(part["user_id"].tolist(), part["item_id"].tolist()):
            known.setdefault(user, set()).add(item)
    tested = set(run.data.test._dataset.inter_feat["user_id"].tolist())
    best = [max(popularity[item] for item in range(1, len(popularity)) if item not in known[user]) for user in tested]
    assert result["lists"]["test"]["arp@1"] == pytest.approx(np.mean(best), abs=1e-5)
