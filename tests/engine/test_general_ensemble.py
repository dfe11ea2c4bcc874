"""Ensembles of general models: several right items per user, any split, histories of training items, the mix with other kinds."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_sda.comparison.compare import compare
from recbole_sda.comparison.planned_run import slug
from recbole_sda.engine import experiment
from recbole_sda.engine.ensemble import ensemble
from recbole_sda.engine.run import load
from recbole_sda.errors import InputError
from recbole_sda.metrics.ranks import Cases, list_metrics
from recbole_sda.model.ensemble.weights import collect_pool, metric_of_ranks
from recbole_sda.model.neighbours.history_weights import history_weights
from recbole_sda.recommend.recommender import Recommender

RATIO = {"split": {"RS": [0.5, 0.25, 0.25]}}
RANDOM = {**RATIO, "order": "RO"}


@pytest.fixture(scope="module")
def runs(short_keys, tmp_path_factory):
    """A function: model, keys of the evaluation -> folder of a finished run on ``tiny``."""
    folder, made = tmp_path_factory.mktemp("general"), {}

    def run(model, eval_args, **keys):
        name = slug(f"{model}-{eval_args}-{keys}")
        if name not in made:
            made[name] = folder / name
            given = {**short_keys, "metrics": ["Recall", "NDCG"], "eval_args": eval_args, **keys}
            experiment.run(model, "tiny", (), {**given, "run_dir": str(made[name])})
        return made[name]

    return run


def metrics(run_dir):
    return json.loads((run_dir / "metrics.json").read_text())


@pytest.mark.parametrize("split", [RATIO, RANDOM, {"split": {"LS": "valid_and_test"}}])
@pytest.mark.parametrize("weights", [[1, 0, 0], [0, 1, 0]])
def test_a_member_of_weight_1_is_reproduced_exactly(runs, tmp_path, split, weights):
    members = [runs("BPR", split), runs("VBPR", split)]
    result = ensemble([*members, "knn:cooccurrence"], tmp_path / "run", {"ensemble_weights": weights})
    member = members[weights.index(1)]
    assert result["model"] == "GeneralEnsemble" and result["test"] == metrics(member)["test"]
    assert result["valid"] == metrics(member)["valid"] and result["groups"] == metrics(member)["groups"]
    mine, theirs = (pd.read_parquet(folder / "ranks-test.parquet") for folder in (tmp_path / "run", member))
    pd.testing.assert_frame_equal(mine, theirs)


@pytest.mark.parametrize("metric", ["Recall@10", "NDCG@5", "MRR@5", "Hit@1"])
def test_the_choice_is_never_below_a_member_with_several_right_items(runs, tmp_path, metric):
    keys = {"metrics": ["Recall", "NDCG", "MRR", "Hit"], "topk": [1, 5, 10], "valid_metric": metric}
    names = [runs("BPR", RATIO), "knn:cooccurrence", "knn:features:image"]
    result = ensemble(names, tmp_path / "run", keys)
    alone = experiment.evaluate(names[0], keys)["valid"][metric.lower()]
    assert result["valid"][metric.lower()] >= alone - 1e-4
    run = load(tmp_path / "run")
    name, k, function = metric_of_ranks(metric)
    pool = collect_pool(run.model, run.data.valid, run.model.n_items, run.config["device"])
    assert pool.lists is not None
    assert function(pool.ranks(run.model.weights), pool.lists) == pytest.approx(result["valid"][name], abs=1e-5)


@pytest.mark.parametrize("name", ["hit@3", "recall@3", "ndcg@3", "mrr@3"])
def test_metrics_of_lists_are_those_of_the_results(name):
    generator = np.random.default_rng(0)
    lists = np.repeat(np.arange(9), generator.integers(1, 6, 9))
    ranks = np.concatenate([generator.permutation(8)[:n] + 1 for n in np.bincount(lists)])
    expected = list_metrics(Cases(lists, lists, lists, ranks), [3])[name].mean()
    *_, metric = metric_of_ranks(name)
    assert metric(torch.from_numpy(ranks), torch.from_numpy(lists)) == pytest.approx(expected, abs=1e-6)


def test_the_history_of_a_neighbourhood_is_the_training_items_in_time_order(runs, tmp_path, data_path):
    ensemble([runs("BPR", RANDOM), "knn:cooccurrence"], tmp_path / "run", {"ensemble_weights": [1, 1]})
    run = load(tmp_path / "run")
    knn, dataset = run.model.members[1], run.data.dataset
    table = pd.read_csv(data_path / "tiny/tiny.inter", sep="\t")
    table.columns = ["user", "item", "time"]
    part = run.data.train._dataset.inter_feat
    train = set(zip(part["user_id"].tolist(), part["item_id"].tolist()))
    interaction = next(iter(run.data.test))[0]
    scores = run.model.member_scores(knn, interaction)
    for row, user in enumerate(interaction["user_id"].tolist()[:8]):
        token = dataset.id2token("user_id", user)
        own = table[table["user"] == token].sort_values("time")["item"]
        items = [i for i in dataset.token2id("item_id", own.to_numpy()) if (user, i) in train][-8:]
        history = torch.tensor([items])
        weights = history_weights(history, torch.tensor([len(items)]), knn.model.decay)
        torch.testing.assert_close(scores[row], knn.model.scores(history, weights)[0])


def test_it_is_a_run_folder_like_any_other(runs, tmp_path):
    members = [runs("BPR", RATIO), "knn:cooccurrence", "knn:features"]
    result = ensemble(members, tmp_path / "run", {"ensemble_groups": "tail", "tail_items": 6})
    assert set(result["ensemble"]["weights"]) == {"head", "tail"}
    assert experiment.evaluate(tmp_path / "run")["test"] == result["test"]
    sampled = experiment.evaluate(
        tmp_path / "run", {"eval_args": {"mode": "uni5"}, "topk": [1], "valid_metric": "NDCG@1"}
    )
    assert "recall@1" in sampled["test"]
    popular = {"eval_args": {"mode": "pop5", **RATIO}}
    sampled = experiment.evaluate(tmp_path / "run", popular)
    assert sampled["groups"]["test"]["items"] and sampled["test"] != result["test"]
    chosen = ensemble(members, tmp_path / "popular", popular)
    alone = [experiment.evaluate(members[0], popular)["valid"]["ndcg@10"]]
    assert chosen["valid"]["ndcg@10"] >= alone[0] - 1e-4
    values = {**popular, "metrics": ["AUC"], "valid_metric": "AUC"}
    with pytest.raises(InputError, match="weights are chosen by ranks, not by AUC"):
        ensemble(members, tmp_path / "values", values)
    nested = ensemble([tmp_path / "run", members[0]], tmp_path / "nested", {"ensemble_weights": [1, 0]})
    assert nested["test"] == result["test"]
    top = pd.concat(Recommender(tmp_path / "run").top(["u0"], k=3))
    assert len(top) == 3


def test_recommendations_use_all_known_interactions_as_the_history(runs, tmp_path):
    ensemble([runs("BPR", RATIO), "knn:cooccurrence"], tmp_path / "run", {"ensemble_weights": [0, 1]})
    recommender = Recommender(tmp_path / "run")
    user = recommender.user_ids["u1"]
    history = torch.from_numpy(recommender.histories.of(user)[-8:]).unsqueeze(0)
    knn = recommender.model.members[1].model
    expected = knn.scores(history, history_weights(history, torch.tensor([history.shape[1]]), knn.decay))[0, 1:]
    assert recommender.scores(["u1"]).to_numpy()[0] == pytest.approx(expected.numpy())


def test_general_and_sequential_runs_mix_under_leave_one_out_alone(runs, tmp_path):
    last = {"split": {"LS": "valid_and_test"}}
    general, sequential = runs("BPR", last), runs("GRU4Rec", last)
    assert ensemble([general, sequential], tmp_path / "both")["model"] == "Ensemble"
    nested = ensemble([runs("VBPR", last), "knn:cooccurrence"], tmp_path / "general")
    assert nested["model"] == "GeneralEnsemble"
    outer = ensemble([tmp_path / "general", sequential], tmp_path / "outer", {"ensemble_weights": [1, 0]})
    assert outer["model"] == "Ensemble" and outer["test"] == nested["test"]
    with pytest.raises(InputError, match="have one in common under leave-one-out alone"):
        ensemble([runs("BPR", RATIO), runs("GRU4Rec", RATIO)], tmp_path / "ratio")
    with pytest.raises(InputError, match="is a run of GRU4Rec, which is sequential; GeneralEnsemble takes general"):
        keys = {**load(sequential).config.resolved, "members": [str(general), str(sequential)]}
        kept = ("data_path", "epochs", "use_gpu", "topk", "metrics", "valid_metric", "MAX_ITEM_LIST_LENGTH", "members")
        experiment.run(
            "GeneralEnsemble", "tiny", (), {key: keys[key] for key in kept} | {"run_dir": str(tmp_path / "x")}
        )


def test_a_plan_makes_the_ensemble_that_its_rows_need(tiny_keys, tmp_path):
    plan = {
        "title": "general",
        "datasets": ["tiny"],
        "seeds": [1],
        "keys": {**tiny_keys, "eval_args": RATIO},
        "models": {
            "of the ensemble": {"model": "Ensemble", "keys": {"members": [{"row": "with counts"}, {"row": "BPR"}]}},
            "with counts": {
                "model": "Ensemble",
                "base": "BPR",
                "keys": {"members": [{"row": "BPR"}, "knn:cooccurrence"]},
            },
            "BPR": {},
        },
    }
    compare(plan, tmp_path / "out")
    for row in ("of-the-ensemble", "with-counts"):
        assert metrics(tmp_path / f"out/tiny/{row}/seed1")["model"] == "GeneralEnsemble"
    compare(plan, tmp_path / "out")  # nothing to do, and the folders are the planned ones
