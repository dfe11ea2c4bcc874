"""Splits of this package in run folders: --load, ensembles, results and comparisons."""

import pytest

from recbole_sda.comparison.compare import compare
from recbole_sda.engine.ensemble import ensemble
from recbole_sda.engine.experiment import evaluate, run
from recbole_sda.errors import InputError

GLOBAL = {"eval_args": {"split": {"global_time": [0.6, 0.2, 0.2]}}}


@pytest.fixture
def cold_run(keys):
    return run("SASRec", "tiny", overrides={**keys, "cold_items": 0.2})


def test_a_result_names_the_split(cold_run):
    assert cold_run["protocol"]["split"].endswith("in time order, 20% of the items cold (drawn by seed 2020)")
    assert cold_run["split"]["cold_items"] == 7 == cold_run["split"]["items_without_training"]
    groups = cold_run["groups"]["test"]["items"]
    assert groups["cold"]["cases"] + groups["warm"]["cases"] == groups["tail"]["cases"] + groups["head"]["cases"]


def test_load_keeps_the_training_part(cold_run):
    again = evaluate(cold_run["run_dir"], {"topk": [5, 10]})
    assert again["test"] == cold_run["test"] and again["split"] == cold_run["split"]
    with pytest.raises(InputError, match="cold_items is 0.2 in this run and cannot become 0.3"):
        evaluate(cold_run["run_dir"], {"cold_items": 0.3})
    with pytest.raises(InputError, match="was trained on other training interactions"):
        evaluate(cold_run["run_dir"], GLOBAL)


@pytest.mark.parametrize("split", [{"cold_items": 0.2}, GLOBAL])
def test_ensembles_take_the_split_of_their_members(cold_run, keys, tmp_path, split):
    member = (
        cold_run["run_dir"] if "cold_items" in split else run("BPR", "tiny", overrides={**keys, **split})["run_dir"]
    )
    parts = [member, "knn:cooccurrence", "knn:features"]
    result = ensemble(parts, tmp_path / "both")
    assert result["protocol"]["split"] == evaluate(member)["protocol"]["split"]
    other = run("SASRec", "tiny", overrides=keys)["run_dir"]
    with pytest.raises(InputError, match="was trained on another part of tiny"):
        ensemble([member, other], tmp_path / "mixed")


def test_rows_under_other_splits_are_not_compared(keys, tmp_path):
    plan = {
        "title": "t", "datasets": ["tiny"], "seeds": [1], "keys": {**keys, "epochs": 1}, "groups": ["cold", "warm"],
        "models": {"BPR": {"keys": {"cold_items": 0.2}}, "BPR_SDA": {"base": "BPR", "keys": {"cold_items": 0.2}}},
    }  # fmt: skip
    del plan["keys"]["runs_path"]
    found = compare(plan, out=tmp_path / "same")
    assert list(found["rows"][1]["gain"]) == ["all", "cold", "warm"]
    text = (tmp_path / "same/comparison.md").read_text()
    assert "| cold Hit@10" in text and "| warm NDCG@10" in text and "tail" not in text
    assert "Cold items have no training interaction." in text and "users, 5 with cold items, 38 with warm items" in text
    plan["models"]["BPR_SDA"]["keys"]["cold_items"] = 0.3
    with pytest.raises(InputError, match="cannot be compared: split is .*30% of the items cold"):
        compare(plan, out=tmp_path / "other")
