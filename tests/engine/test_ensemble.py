"""Ensembles: equal to their members and to a slow sum, usable wherever a run folder is, and refused where they cannot be built."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_sda.comparison.compare import compare
from recbole_sda.engine import experiment
from recbole_sda.engine.ensemble import ensemble
from recbole_sda.engine.run import load
from recbole_sda.errors import InputError
from recbole_sda.metrics.groups import tail_items
from recbole_sda.recommend.recommender import Recommender
from recbole_sda.tune.trial import Trial, train_trial


@pytest.fixture(scope="module")
def members(short_keys, tmp_path_factory):
    """Folders of a sequential run with short histories and of a general run, in that order."""
    folder = tmp_path_factory.mktemp("members")
    for name, keys in (("GRU4Rec", {"MAX_ITEM_LIST_LENGTH": 5}), ("BPR", {"MAX_ITEM_LIST_LENGTH": 8})):
        experiment.run(name, "tiny", (), {**short_keys, **keys, "run_dir": str(folder / name)})
    return [folder / "GRU4Rec", folder / "BPR"]


def ranks(run_dir, phase="test"):
    table = pd.read_parquet(Path(run_dir) / f"ranks-{phase}.parquet")
    return table.drop(columns="row").sort_values("user_id").reset_index(drop=True)


@pytest.mark.parametrize("which", [0, 1])
def test_a_member_of_weight_1_among_zeros_is_reproduced_exactly(members, tmp_path, which):
    weights = [float(which == 0), float(which == 1), 0]
    result = ensemble([*members, "knn:cooccurrence"], tmp_path / "run", {"ensemble_weights": weights})
    member = json.loads((members[which] / "metrics.json").read_text())
    assert result["test"] == member["test"] and result["valid"] == member["valid"]
    pd.testing.assert_frame_equal(ranks(tmp_path / "run"), ranks(members[which]))


@pytest.mark.parametrize("groups", ["none", "tail"])
def test_scores_are_the_weighted_sum_and_the_choice_is_never_below_a_member(members, tmp_path, groups):
    names = [*members, "knn:cooccurrence", "knn:features", "knn:features:image"]
    result = ensemble(names, tmp_path / "run", {"ensemble_groups": groups, "tail_items": 6})
    best = max(json.loads((member / "metrics.json").read_text())["valid"]["ndcg@10"] for member in members)
    assert result["valid"]["ndcg@10"] >= best - 1e-4
    assert [member["name"] for member in result["ensemble"]["members"]] == [str(name) for name in names]
    assert set(result["ensemble"]["weights"]) == ({"all"} if groups == "none" else {"head", "tail"})
    run = load(tmp_path / "run")
    run.model.weights.copy_(torch.rand_like(run.model.weights) + 0.1)
    batch = next(iter(run.data.test))[0]
    with torch.no_grad():
        scores, parts = (
            run.model.full_sort_predict(batch),
            [run.model.member_scores(m, batch) for m in run.model.members],
        )
    counts = run.data.counts.items
    for item in range(1, run.model.n_items):
        group = int(groups == "tail" and counts[item] < 6)
        expected = sum(
            float(run.model.weights[group, m]) * (part[0, item] - part[0, 1:].mean()) / part[0, 1:].std(correction=0)
            for m, part in enumerate(parts)
        )
        assert scores[0, item] == pytest.approx(float(expected), abs=1e-4)


def test_it_is_a_run_folder_like_any_other(members, tmp_path):
    result = ensemble([members[0], "knn:cooccurrence"], tmp_path / "run")
    assert experiment.evaluate(tmp_path / "run")["test"] == result["test"]
    sampled = experiment.evaluate(
        tmp_path / "run", {"eval_args": {"mode": "uni5"}, "topk": [1], "valid_metric": "NDCG@1"}
    )
    assert "hit@1" in sampled["test"]
    top = pd.concat(Recommender(tmp_path / "run").top(["u0"], k=3))
    assert len(top) == 3
    nested = ensemble([tmp_path / "run", members[1]], tmp_path / "nested", {"ensemble_weights": [1, 0]})
    assert nested["test"] == result["test"]


def test_a_row_of_a_comparison_can_be_an_ensemble_of_other_rows(tiny_keys, tmp_path):
    plan = {
        "title": "ensembles",
        "datasets": ["tiny"],
        "seeds": [1, 2],
        "keys": tiny_keys,
        "models": {
            "two seeds": {"model": "Ensemble", "keys": {"members": [{"row": "BPR"}, {"row": "BPR", "seed": "next"}]}},
            "with counts": {
                "model": "Ensemble",
                "base": "BPR",
                "keys": {"members": [{"row": "BPR"}, "knn:cooccurrence"]},
            },
            "BPR": {},
        },
    }
    comparison = compare(plan, tmp_path / "out")
    assert {row["row"] for row in comparison["rows"]} == {"two seeds", "with counts", "BPR"}
    config = load(tmp_path / "out/tiny/two-seeds/seed2").config
    assert [Path(name).parts[-2:] for name in config["members"]] == [("BPR", "seed2"), ("BPR", "seed1")]
    compare(plan, tmp_path / "out")  # nothing to do, and the folders are the planned ones
    with pytest.raises(InputError, match="seed: next} needs a plan with two seeds or more"):
        compare({**plan, "seeds": [1]}, tmp_path / "one")


@pytest.mark.parametrize(
    "names, keys, message",
    [
        (["knn:cooccurrence"], {}, "give at least one run folder"),
        (
            ["{run}", "knn:coocurrence"],
            {},
            "unknown neighbourhood 'knn:coocurrence'; .*Did you mean 'knn:cooccurrence'",
        ),
        (["{run}", "knn:features:sound"], {}, "sound"),
        (["{run}", "missing"], {}, "missing is not a run folder"),
        (["{run}", "{run}"], {}, "is given twice"),
        (["{run}", "knn:cooccurrence", "knn:cooccurrence"], {}, "members: knn:cooccurrence is given twice"),
        (["{run}"], {"members": ["other"]}, "ensemble: members follows from the members"),
        (["{run}"], {"model": "BPR"}, "ensemble: model follows from the members"),
        (["{run}"], {"ensemble_weights": [1, 2]}, r"ensemble_weights=\[1, 2\]: expected a list of 1 weights"),
        (["{run}"], {"ensemble_weights": [0]}, "expected a positive weight"),
        (["{run}"], {"ensemble_weights": [-1]}, "ensemble_weights=-1"),
        (["{run}"], {"ensemble_groups": "fifths"}, "ensemble_groups='fifths': allowed are none, tail"),
        (["{run}"], {"ensemble_depth": 0}, "ensemble_depth=0"),
        (["{run}"], {"MAX_ITEM_LIST_LENGTH": 3}, "takes histories of 5 items; give MAX_ITEM_LIST_LENGTH=5 or more"),
        (["{run}"], {"eval_args": {"split": {"LS": "valid_only"}}}, "another part|leaves no interactions"),
    ],
)
def test_bad_input_is_named_and_leaves_no_folder(members, tmp_path, names, keys, message):
    names = [str(members[0]) if name == "{run}" else name for name in names]
    with pytest.raises(InputError, match=message):
        ensemble(names, tmp_path / "run", keys)
    assert not (tmp_path / "run").exists()


def test_a_member_on_other_data_is_refused(members, tiny_keys, tmp_path):
    result = experiment.run(
        "BPR", "tiny", (), {**tiny_keys, "user_inter_num_interval": "[8,inf)", "run_dir": str(tmp_path / "fewer")}
    )
    assert np.isfinite(result["test"]["ndcg@10"])
    with pytest.raises(InputError, match="was trained on other users than tiny has with these settings"):
        ensemble([members[0], tmp_path / "fewer"], tmp_path / "run")


def test_groups_are_the_tail_of_the_metrics_also_where_it_is_a_share(members, tmp_path):
    ensemble([members[0], "knn:cooccurrence"], tmp_path / "run", {"ensemble_groups": "tail", "tail_items": 0.4})
    run = load(tmp_path / "run")
    expected = tail_items(run.data.counts.items, 0.4)
    assert expected.any() and run.model.groups.bool().tolist() == expected.tolist()


def test_a_trial_of_a_search_chooses_weights_too(members, tiny_keys, tmp_path):
    keys = {**tiny_keys, "members": [str(members[0]), "knn:cooccurrence"], "epochs": 1}
    train_trial(Trial("Ensemble", "tiny", (), keys, tmp_path / "trial"), lambda *_: None)
    run = load(tmp_path / "trial")
    whole = ensemble([members[0], "knn:cooccurrence"], tmp_path / "run")
    assert run.model.weights.flatten().tolist() == pytest.approx(whole["ensemble"]["weights"]["all"], abs=1e-6)
