"""Metrics of groups, and the file of ranks."""

import numpy as np
import pandas as pd
import pytest

from recbole_sda.engine import experiment
from recbole_sda.engine.rank_files import RANKS
from recbole_sda.metrics.ranks import list_metrics

RATIO = {"split": {"RS": [0.6, 0.2, 0.2]}, "group_by": "user", "order": "TO", "mode": "full"}
METRICS = ["Hit", "Recall", "NDCG", "MRR"]


@pytest.mark.parametrize(
    "model, eval_args",
    [
        ("SASRec_SDA", {}),
        ("BPR_SDA", {}),
        ("BPR_SDA", RATIO),
        ("SASRec", {"mode": "uni20"}),
        ("BPR_SDA", {**RATIO, "mode": "uni20"}),
        ("Pop", RATIO),  # many items of one score
        ("ItemKNN", RATIO),
    ],
)
def test_ranks_give_the_metrics_of_recboles_evaluator(tiny_keys, tmp_path, model, eval_args):
    keys = {**tiny_keys, "runs_path": str(tmp_path), "metrics": METRICS, "eval_args": eval_args}
    result = experiment.run(model, "tiny", (), keys)
    run = experiment.load(result["run_dir"])
    run.trainer.evaluate(run.data.test, load_best_model=False)
    values = list_metrics(run.trainer.eval_collector.ranking.cases, run.config["topk"])
    for name, value in result["test"].items():
        assert abs(values[name].mean() - value) < 1e-6, name
    groups = result["groups"]["test"]
    n_rows = len(next(iter(values.values())))
    for name in ("hit@10", "ndcg@5"):
        both = [groups["users"][g] for g in ("short", "long") if groups["users"][g]["cases"]]
        mean = sum(row["cases"] * row[name] for row in both) / n_rows
        assert abs(mean - result["test"][name]) < 1e-6
    assert set(result["groups"]) == {"valid", "test"}
    valid = result["groups"]["valid"]["users"]
    mean = sum(valid[g]["cases"] * valid[g].get("hit@10", 0) for g in ("short", "long")) / n_rows
    assert abs(mean - result["valid"]["hit@10"]) < 1e-6
    assert ("spread" in groups) == (run.config["eval_args"]["mode"]["test"] == "full")


@pytest.mark.parametrize("model", ["Pop", "BPR"])
def test_other_metrics_change_nothing(tiny_keys, tmp_path, model):
    """GAUC needs all scores, which RecBole collects; ties still count against the right item, and the spread is computed."""
    keys = {**tiny_keys, "runs_path": str(tmp_path), "epochs": 1}
    plain, both = (experiment.run(model, "tiny", (), {**keys, "metrics": m}) for m in (METRICS, [*METRICS, "GAUC"]))
    assert {name: both["test"][name] for name in plain["test"]} == plain["test"] and 0 < both["test"]["gauc"] < 1
    assert both["groups"] == plain["groups"] and "spread" in both["groups"]["test"]


@pytest.mark.parametrize("mode", ["full", "uni5"])
def test_context_models_have_groups(tiny_keys, tmp_path, mode):
    """They score one candidate at a time."""
    negatives = {"distribution": "uniform", "sample_num": 1}
    keys = {**tiny_keys, "runs_path": str(tmp_path), "epochs": 1, "train_neg_sample_args": negatives}
    result = experiment.run("FM", "tiny", (), {**keys, "eval_args": {"mode": mode}})
    table = pd.read_parquet(f"{result['run_dir']}/{RANKS.format(phase='test')}")
    assert table["user_id"].nunique() == len(table) == 43
    assert np.isclose((table["rank"] <= 5).mean(), result["test"]["hit@5"], atol=1e-6)
    users = result["groups"]["test"]["users"]
    assert users["short"]["cases"] + users["long"]["cases"] == 43


def test_counts_are_of_the_training_part(tiny_keys, tmp_path, data_path):
    result = experiment.run("SASRec_SDA", "tiny", (), {**tiny_keys, "runs_path": str(tmp_path), "epochs": 1})
    run = experiment.load(result["run_dir"])
    raw = pd.read_csv(data_path / "tiny/tiny.inter", sep="\t").sort_values(["user_id:token", "timestamp:float"])
    training = raw[raw.groupby("user_id:token").cumcount(ascending=False) >= 2]
    for field, column, found in (
        ("item_id", "item_id:token", run.data.counts.items),
        ("user_id", "user_id:token", run.data.counts.users),
    ):
        tokens = run.data.dataset.field2id_token[field]
        expected = training[column].value_counts()
        assert found.tolist() == [expected.get(token, 0) for token in tokens]


def test_the_ranks_file_names_users_and_items(tiny_keys, tmp_path, data_path):
    result = experiment.run("BPR_SDA", "tiny", (), {**tiny_keys, "runs_path": str(tmp_path), "epochs": 1})
    table = pd.read_parquet(f"{result['run_dir']}/{RANKS.format(phase='test')}")
    raw = pd.read_csv(data_path / "tiny/tiny.inter", sep="\t").sort_values(["user_id:token", "timestamp:float"])
    last = raw.groupby("user_id:token").tail(1).set_index("user_id:token")["item_id:token"]
    assert dict(zip(table["user_id"], table["item_id"])) == last.to_dict()
    assert np.isclose((table["rank"] <= 10).mean(), result["test"]["hit@10"], atol=1e-6)


def test_limits_are_settings(tiny_keys, tmp_path):
    keys = {**tiny_keys, "runs_path": str(tmp_path), "epochs": 1, "tail_items": 0.5, "short_users": 6}
    found = experiment.run("BPR", "tiny", (), keys)["groups"]["test"]
    assert found["limits"] == {"tail_items": 0.5, "short_users": 6}
    assert found["items"]["tail"]["cases"] + found["items"]["head"]["cases"] == 43
