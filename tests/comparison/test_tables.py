"""The table of a comparison from run folders written by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from recbole_sda.comparison.plan import ModelEntry, Plan
from recbole_sda.comparison.tables import (
    compare_runs,
    read_comparison,
    results_frame,
    to_latex,
    to_markdown,
    write_tables,
)
from recbole_sda.comparison.user_metrics import user_metrics
from recbole_sda.errors import InputError

N = 60
PROTOCOL = {
    "loss": "CE", "split": "leave-one-out", "evaluation": {"test": "full sort"}, "items": 99,
    "selection": "NDCG@10 on validation data",
}  # fmt: skip


def write_run(folder, ranks, users=None, tail=None, item="i") -> None:
    folder.mkdir(parents=True)
    users = [f"u{k}" for k in range(len(ranks))] if users is None else users
    tail = np.arange(len(ranks)) < 10 if tail is None else tail
    items = [f"{item}{k}" for k in range(len(ranks))]
    table = pd.DataFrame({"row": range(len(ranks)), "user_id": users, "item_id": items, "rank": ranks, "tail": tail})
    table.to_parquet(folder / "ranks-test.parquet")
    hit = float((np.asarray(ranks) <= 10).mean())
    content = {
        "test": {"hit@10": hit}, "dataset": "d", "protocol": PROTOCOL, "seconds": {"training": 6.0}, "epochs_run": 3,
        "parameters": 5,
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(content))


@pytest.fixture
def plan(tmp_path) -> Plan:
    """Three rows, two seeds; ranks are drawn, those of `ours` are better."""
    rng = np.random.default_rng(0)
    rows = tuple(
        ModelEntry(name, "BPR", None if name == "base" else "base", {}) for name in ("base", "ours", "same_as")
    )
    for row, shift in (("base", 0), ("ours", 8), ("same_as", 0)):
        for seed in (1, 2):
            ranks = np.maximum(np.random.default_rng(seed).integers(1, 40, N) - shift * rng.integers(0, 2, N), 1)
            write_run(tmp_path / "d" / row / f"seed{seed}", ranks)
    return Plan("T", "about", rows, ("d",), (1, 2), {}, {}, ("hit@10", "ndcg@10"), "holm", tmp_path)


def test_means_gains_and_tests_by_hand(plan):
    found = compare_runs(plan)
    base, ours, same = found["rows"]
    hits = {name: [] for name in ("base", "ours")}
    for name, values in hits.items():
        for seed in (1, 2):
            ranks = pd.read_parquet(plan.out / f"d/{name}/seed{seed}/ranks-test.parquet")["rank"].to_numpy()
            values.append((ranks <= 10).astype(float))
    by_seed = [values.mean() for values in hits["ours"]]
    cell = ours["metrics"]["all"]["hit@10"]
    assert np.isclose(cell["mean"], np.mean(by_seed)) and np.isclose(cell["deviation"], np.std(by_seed, ddof=1))
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


def test_what_is_written(plan):
    found = compare_runs(plan)
    text = to_markdown(found)
    mean = found["rows"][1]["metrics"]["all"]["hit@10"]["mean"]
    assert f"| {mean:.4f} ± " in text and "2 seeds" not in text and "seeds 1, 2" in text
    assert "holm correction over the 8 comparisons" in text and "ours - base" in text
    latex = to_latex(found)
    assert latex.count(r"\begin{table}") == 1 and r"same\_as" in latex and r"$\pm$" in latex and "±" not in latex


def test_unfinished_runs_are_left_out_and_said(plan):
    (plan.out / "d/ours/seed2/metrics.json").unlink()
    found = compare_runs(plan)
    assert found["rows"][1]["seeds"] == [1] and found["rows"][1]["metrics"]["all"]["hit@10"]["deviation"] is None
    text = to_markdown(found)
    assert "ours: seeds 1 of 1, 2" in text


def test_other_users_cannot_be_paired(plan):
    write_run(plan.out / "d/ours2/seed1", [1] * N, users=[f"v{k}" for k in range(N)])
    other = Plan(**{**vars(plan), "rows": (plan.rows[0], ModelEntry("ours2", "BPR", "base", {})), "seeds": (1,)})
    with pytest.raises(InputError, match="ours2 and base on d have other test users"):
        compare_runs(other)


def test_other_items_of_the_same_users_cannot_be_paired(plan):
    """As when the data changed between two runs."""
    write_run(plan.out / "d/ours2/seed1", [1] * N, item="j")
    other = Plan(**{**vars(plan), "rows": (plan.rows[0], ModelEntry("ours2", "BPR", "base", {})), "seeds": (1,)})
    with pytest.raises(InputError, match="ours2 and base on d have other test users or items with seed 1"):
        compare_runs(other)


def test_a_gain_is_of_the_means_that_are_printed(tmp_path):
    """Users of a random split: a and c in one seed, a and b in the other; in the test each user counts once."""
    for seed, users in ((1, ["a", "c"]), (2, ["a", "b"])):
        write_run(tmp_path / f"d/base/seed{seed}", [1, 20], users=users)
        write_run(tmp_path / f"d/ours/seed{seed}", [20, 1] if seed == 1 else [1, 1], users=users)
    rows = (ModelEntry("base", "BPR", None, {}), ModelEntry("ours", "BPR", "base", {}))
    ours = compare_runs(Plan("T", "", rows, ("d",), (1, 2), {}, {}, ("hit@10",), "holm", tmp_path))["rows"][1]
    assert ours["gain"]["all"]["hit@10"] == pytest.approx(0.75 / 0.5 - 1)
    test = ours["tests"]["all"]["hit@10"]
    assert test["difference"] == pytest.approx((2.5 - 1) / 3) and test["users"] == 3


def test_ranks_that_speak_against_the_mean_have_their_own_mark(tmp_path):
    """Many users lose a little, few gain much."""
    for name, ranks in (("base", [3, 30]), ("ours", [4, 1]), ("worse", [4, 30])):
        write_run(tmp_path / f"d/{name}/seed1", np.repeat(ranks, [300, 40]))
    rows = (
        ModelEntry("base", "BPR", None, {}),
        ModelEntry("ours", "BPR", "base", {}),
        ModelEntry("worse", "BPR", "base", {}),
    )
    found = compare_runs(Plan("T", "", rows, ("d",), (1,), {}, {}, ("mrr@10",), "holm", tmp_path))
    assert results_frame(found, "d")["MRR@10"].tolist() == ["0.2941", "0.3382 (+15.0 %)†", "0.2206 (-25.0 %)*"]
    assert "†: significant as well, but" in to_markdown(found)
    latex = to_latex(found)
    assert r"(+15.0 \%)$\dagger$" in latex and "†" not in latex


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


def test_rows_under_other_protocols_are_told_apart(plan):
    rows = (plan.rows[0], ModelEntry("ours", "BPR", None, {}))
    plan = Plan(**{**vars(plan), "rows": rows})
    assert "NOT ONE PROTOCOL" not in to_markdown(compare_runs(plan))
    for seed in (1, 2):
        path = plan.out / f"d/ours/seed{seed}/metrics.json"
        path.write_text(path.read_text().replace("full sort", "20 uniform negatives"))
    text = to_markdown(compare_runs(plan))
    assert "THE ROWS HAVE NOT ONE PROTOCOL; base: loss CE | leave-one-out | full sort over 99" in text
    assert "; ours: loss CE | leave-one-out | 20 uniform negatives over 99" in text


def test_a_users_metrics(tmp_path):
    write_run(tmp_path / "run", [1, 4, 20], users=["a", "a", "b"], tail=[True, False, False])
    found = user_metrics(tmp_path / "run", ["hit@10", "mrr@10"])
    assert found.loc["a"].tolist() == [1.0, (1 + 0.25) / 2] and found.loc["b"].tolist() == [0.0, 0.0]
    assert user_metrics(tmp_path / "run", ["recall@10"], "tail").to_dict() == {"recall@10": {"a": 1.0}}
    with pytest.raises(InputError, match="metrics: 'hit@ten': expected a name like hit@10"):
        user_metrics(tmp_path / "run", ["hit@ten"])
    with pytest.raises(InputError, match="ranks-valid.parquet is missing"):
        user_metrics(tmp_path / "run", ["hit@10"], phase="valid")
    (tmp_path / "run/ranks-valid.parquet").write_text("cut off")
    with pytest.raises(InputError, match="ranks-valid.parquet cannot be read"):
        user_metrics(tmp_path / "run", ["hit@10"], phase="valid")


def test_a_written_comparison_is_read_again(plan):
    found = compare_runs(plan)
    path = write_tables(found, plan.out)[0]
    assert read_comparison(path) == found
    path.write_text(path.read_text()[:100])
    with pytest.raises(InputError, match=r"comparison\.json is damaged .*--table"):
        read_comparison(path)
    for other, written in (({k: v for k, v in found.items() if k != "format"}, 1), ({"format": 9}, 9), ([], None)):
        path.write_text(json.dumps(other))
        with pytest.raises(InputError, match=f"of format {written}, expected 2; .*--table --out={plan.out}"):
            read_comparison(path)
