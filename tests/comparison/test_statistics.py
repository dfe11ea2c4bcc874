"""Statistics of a comparison against numbers computed by hand, from run folders written by hand and real ones."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from recbole_sda.comparison.plan import Plan
from recbole_sda.comparison.planned_run import ModelEntry
from recbole_sda.comparison.runner import run_planned
from recbole_sda.comparison.statistics import compare_runs
from recbole_sda.comparison.tables import to_markdown
from recbole_sda.comparison.user_metrics import user_metrics
from recbole_sda.errors import InputError

N = 60  # users of the fixture ``plan``
BASE, OURS = ModelEntry("BPR", "BPR", None, {}), ModelEntry("ours", "BPR_SDA", "BPR", {"id_shrinkage": 2.0})


def test_means_gains_and_tests_by_hand(plan):
    found = compare_runs(plan)
    base, ours, same = found["rows"]
    hits = {name: [] for name in ("base", "ours")}
    for name, values in hits.items():
        for seed in (1, 2):
            ranks = pd.read_parquet(plan.out / f"d/{name}/seed{seed}/ranks-test.parquet")["rank"].to_numpy()
            values.append((ranks <= 10).astype(float))
    by_seed = [values.mean() for values in hits["ours"]]
    run = ours["metrics"]["all"]["hit@10"]
    assert np.isclose(run["mean"], np.mean(by_seed)) and np.isclose(run["deviation"], np.std(by_seed, ddof=1))
    assert np.isclose(ours["gain"]["all"]["hit@10"], np.mean(hits["ours"]) / np.mean(hits["base"]) - 1)
    assert np.isclose(ours["metrics"]["tail"]["hit@10"]["mean"], np.mean([v[:10].mean() for v in hits["ours"]]))
    difference = np.round(np.mean(hits["ours"], axis=0) - np.mean(hits["base"], axis=0), 12)
    test = ours["tests"]["all"]["hit@10"]
    assert np.isclose(test["difference"], difference.mean()) and test["low"] < difference.mean() < test["high"]
    assert np.isclose(test["wilcoxon"], stats.wilcoxon(difference, zero_method="wilcox").pvalue)
    assert np.isclose(test["t"], stats.ttest_1samp(difference, 0).pvalue)
    tests = [line["tests"][s][m] for line in (ours, same) for s in ("all", "tail") for m in ("hit@10", "ndcg@10")]
    assert found["comparisons"] == len(tests) == 8
    expected = multipletests([t["wilcoxon"] for t in tests], method="holm")[1]
    assert np.allclose([t["wilcoxon_corrected"] for t in tests], expected)
    assert same["tests"]["all"]["hit@10"]["difference"] == 0 and same["tests"]["all"]["hit@10"]["wilcoxon"] == 1.0
    assert base["tests"] == {} and ours["cost"]["seconds_per_epoch"] == 2.0


def test_unfinished_runs_are_left_out_and_said(plan):
    (plan.out / "d/ours/seed2/metrics.json").unlink()
    found = compare_runs(plan)
    assert found["rows"][1]["seeds"] == [1] and found["rows"][1]["metrics"]["all"]["hit@10"]["deviation"] is None
    text = to_markdown(found)
    assert "ours: seed 1 of 1, 2" in text


def test_other_users_cannot_be_paired(write_run, plan):
    write_run(plan.out / "d/ours2/seed1", [1] * N, users=[f"v{k}" for k in range(N)])
    other = Plan(**{**vars(plan), "models": (plan.models[0], ModelEntry("ours2", "BPR", "base", {})), "seeds": (1,)})
    with pytest.raises(InputError, match="ours2 and base on d have different test users"):
        compare_runs(other)


def test_other_items_of_the_same_users_cannot_be_paired(write_run, plan):
    """As when the data changed between two runs."""
    write_run(plan.out / "d/ours2/seed1", [1] * N, item="j")
    other = Plan(**{**vars(plan), "models": (plan.models[0], ModelEntry("ours2", "BPR", "base", {})), "seeds": (1,)})
    with pytest.raises(InputError, match="ours2 and base on d have different test users or items with seed 1"):
        compare_runs(other)


def test_a_gain_is_of_the_means_that_are_printed(write_run, tmp_path):
    """Users of a random split: a and c in one seed, a and b in the other; in the test each user counts once."""
    for seed, users in ((1, ["a", "c"]), (2, ["a", "b"])):
        write_run(tmp_path / f"d/base/seed{seed}", [1, 20], users=users)
        write_run(tmp_path / f"d/ours/seed{seed}", [20, 1] if seed == 1 else [1, 1], users=users)
    rows = (ModelEntry("base", "BPR", None, {}), ModelEntry("ours", "BPR", "base", {}))
    ours = compare_runs(Plan("T", "", rows, ("d",), (1, 2), {}, {}, ("hit@10",), "holm", tmp_path))["rows"][1]
    assert ours["gain"]["all"]["hit@10"] == pytest.approx(0.75 / 0.5 - 1)
    test = ours["tests"]["all"]["hit@10"]
    assert test["difference"] == pytest.approx((2.5 - 1) / 3) and test["users"] == 3


def test_other_rules_are_not_compared(plan):
    for seed in (1, 2):
        path = plan.out / f"d/ours/seed{seed}/metrics.json"
        told = json.loads(path.read_text())
        told["protocol"]["evaluation"] = {"test": "100 uniform negatives"}
        path.write_text(json.dumps(told))
    with pytest.raises(
        InputError, match="ours and base on d cannot be compared: evaluation is .*100 uniform negatives"
    ):
        compare_runs(plan)


def test_random_splits_are_compared_seed_by_seed(plan_of, tiny_keys):
    ratio = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO", "group_by": "none", "mode": "full"}
    plan = plan_of(BASE, OURS, seeds=(1, 2))
    plan = replace(plan, keys={**tiny_keys, "eval_args": ratio})
    assert run_planned(plan.runs()) == {}
    found = compare_runs(plan)["rows"][1]
    tables = [[user_metrics(plan.run(entry, "tiny", s).folder, ["hit@10"]) for s in (1, 2)] for entry in (BASE, OURS)]
    both = [ours - base for base, ours in zip(*tables)]
    expected = pd.concat(both).groupby(level=0).mean()["hit@10"].mean()
    assert np.isclose(found["tests"]["all"]["hit@10"]["difference"], expected)


def test_chosen_rows_are_run_and_all_that_are_done_are_shown(plan_of):
    """So that a choice of rows makes no p-value smaller; a row without any run is named."""
    third = ModelEntry("third", "BPR_SDA", "BPR", {"id_shrinkage": 1.0})
    run_planned(plan_of(BASE, OURS).runs())
    plan = replace(plan_of(BASE, OURS, third), chosen=("BPR", "third"))
    assert [run.entry.name for run in plan.runs()] == ["BPR", "third"]
    assert [run.entry.name for run in plan.other_finished_runs()] == ["ours"]
    found = compare_runs(plan)
    assert [line["row"] for line in found["rows"]] == ["BPR", "ours"] and found["without_runs"] == {"tiny": ["third"]}
    assert "Without a finished run: third." in to_markdown(found)
    run_planned(plan.runs())
    assert compare_runs(plan)["comparisons"] == 2 * found["comparisons"]


def test_a_damaged_result_is_named(plan_of):
    plan = plan_of(BASE)
    run_planned(plan.runs())
    path = plan.runs()[0].folder / "metrics.json"
    for text in (path.read_text()[:100], "[1]"):
        path.write_text(text)
        with pytest.raises(InputError, match="metrics.json.*; remove it, and --resume="):
            compare_runs(plan)


def test_a_base_without_a_seed_is_compared_over_the_seeds_in_common(plan):
    (plan.out / "d/base/seed2/metrics.json").unlink()
    comparison = compare_runs(plan)
    base, ours, _ = comparison["rows"]
    assert base["seeds"] == [1] and ours["seeds"] == [1, 2]
    only_seed_1 = compare_runs(replace(plan, seeds=(1,)))["rows"][1]
    assert ours["gain"] == only_seed_1["gain"]
    for scope, tests in only_seed_1["tests"].items():
        for name, test in tests.items():
            assert ours["tests"][scope][name] == test, (scope, name)
    values = {row["row"]: row["metrics"]["all"]["hit@10"]["values"] for row in (base, ours)}
    assert len(values["ours"]) == 2 and values["ours"][0] != values["ours"][1]
    assert ours["gain"]["all"]["hit@10"] == pytest.approx(values["ours"][0] / values["base"][0] - 1)
    text = to_markdown(comparison)
    assert "gains and tests use only the seeds that a row and its base have in common. base: seed 1 of 1, 2." in text


def test_without_a_seed_in_common_there_is_no_gain(plan):
    (plan.out / "d/base/seed2/metrics.json").unlink()
    (plan.out / "d/ours/seed1/metrics.json").unlink()
    ours = compare_runs(plan)["rows"][1]
    assert ours["seeds"] == [2] and "gain" not in ours and ours["tests"] == {}
    assert "base: seed 1 of 1, 2; ours: seed 2 of 1, 2." in to_markdown(compare_runs(plan))


@pytest.fixture
def further(plan, write_evaluation):
    """The plan with a further protocol; the evaluation of ``same_as`` with seed 2 is missing."""
    rng = np.random.default_rng(5)
    for name in ("base", "ours", "same_as"):
        for seed in (1, 2):
            if (name, seed) != ("same_as", 2):
                ranks = np.maximum(rng.integers(1, 15, N) - 3 * (name == "ours"), 1)
                write_evaluation(plan.out / f"d/{name}/seed{seed}", "uni100", ranks, evaluation={"test": "uniform"})
    return replace(plan, also={"uni100": {"eval_args": {"mode": "uni100"}}})


def test_further_protocols_are_tested_with_the_others(plan, further):
    main, found = compare_runs(plan), compare_runs(further)
    hits = {
        (name, seed): (pd.read_parquet(path)["rank"].to_numpy() <= 10).astype(float)
        for name in ("base", "ours", "same_as")
        for seed in (1, 2)
        if (path := plan.out / f"d/{name}/seed{seed}/protocols/uni100/ranks-test.parquet").is_file()
    }
    base, ours, same = found["rows"]
    values = ours["metrics"]["uni100"]["hit@10"]["values"]
    assert values == [hits["ours", 1].mean(), hits["ours", 2].mean()]
    means = {name: (hits[name, 1] + hits[name, 2]) / 2 for name in ("base", "ours")}
    assert ours["gain"]["uni100"]["hit@10"] == pytest.approx(means["ours"].mean() / means["base"].mean() - 1)
    test = ours["tests"]["uni100"]["hit@10"]
    difference = means["ours"] - means["base"]
    assert test["difference"] == pytest.approx(difference.mean())
    assert test["wilcoxon"] == pytest.approx(stats.wilcoxon(difference, zero_method="wilcox").pvalue)
    assert same["tests"]["uni100"]["hit@10"]["difference"] == pytest.approx(
        (hits["same_as", 1] - hits["base", 1]).mean()
    )
    assert same["gain"]["uni100"]["hit@10"] == pytest.approx(hits["same_as", 1].mean() / hits["base", 1].mean() - 1)
    tests = [row["tests"][s][m] for row in (ours, same) for s in ("all", "tail", "uni100") for m in found["metrics"]]
    assert found["comparisons"] == len(tests) == 12 and main["comparisons"] == 8
    expected = multipletests([t["wilcoxon"] for t in tests], method="holm")[1]
    assert np.allclose([t["wilcoxon_corrected"] for t in tests], expected)
    assert same["also"]["uni100"]["seeds"] == [1] and same["seeds"] == [1, 2]
    for row, alone in zip(found["rows"], main["rows"]):  # the main protocol is unchanged
        assert {s: row["metrics"][s] for s in ("all", "tail")} == alone["metrics"]
        assert row["protocol"] == alone["protocol"] and base["also"]["uni100"]["protocol"]["evaluation"] == {
            "test": "uniform"
        }


def test_other_rules_under_a_further_protocol_are_not_compared(further):
    for seed in (1, 2):
        path = further.out / f"d/ours/seed{seed}/protocols/uni100/metrics.json"
        path.write_text(path.read_text().replace('"uniform"', '"popular"'))
    with pytest.raises(InputError, match="ours and base on d under uni100 cannot be compared: evaluation is .*popular"):
        compare_runs(further)


def test_other_users_under_a_further_protocol_cannot_be_paired(further):
    ranks = further.out / "d/ours/seed2/protocols/uni100/ranks-test.parquet"
    pd.read_parquet(ranks).replace({"item_id": {"i3": "i4"}}).to_parquet(ranks)
    with pytest.raises(
        InputError, match="ours and base on d under uni100 have different test users or items with seed 2"
    ):
        compare_runs(further)
