"""The tables of a comparison: marks, protocols, LaTeX, and comparison.json read again."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recbole_sda.comparison import tables
from recbole_sda.comparison.plan import Plan
from recbole_sda.comparison.planned_run import ModelEntry
from recbole_sda.comparison.statistics import compare_runs
from recbole_sda.comparison.tables import read_comparison, results_frame, to_latex, to_markdown, write_tables
from recbole_sda.errors import InputError


def test_what_is_written(plan):
    found = compare_runs(plan)
    text = to_markdown(found)
    mean = found["rows"][1]["metrics"]["all"]["hit@10"]["mean"]
    assert f"| {mean:.4f} ± " in text and "2 seeds" not in text and "seeds 1, 2" in text
    assert "Holm correction over the 8 comparisons" in text and "ours - base" in text
    latex = to_latex(found)
    assert latex.count(r"\begin{table}") == 1 and r"same\_as" in latex and r"$\pm$" in latex and "±" not in latex


def test_ranks_against_the_mean_have_their_own_mark(write_run, tmp_path):
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
    assert "†: as significant, but against the gain" in to_markdown(found)
    latex = to_latex(found)
    assert r"(+15.0 \%)$\dagger$" in latex and "†" not in latex


def test_a_written_comparison_is_read_again(plan):
    found = compare_runs(plan)
    path = write_tables(found, plan.out)[0]
    assert read_comparison(path) == found
    path.write_text(path.read_text()[:100])
    with pytest.raises(InputError, match=r"comparison\.json is damaged .*--table"):
        read_comparison(path)
    older = {k: v for k, v in found.items() if k != "format"}
    messages = ["has format 1, expected 2", "has format 9, expected 2", "a list: expected an object"]
    for other, message in zip((older, {"format": 9}, []), messages):
        path.write_text(json.dumps(other))
        with pytest.raises(InputError, match=f"{message}; .*--table --out={plan.out}"):
            read_comparison(path)


def test_the_mark_follows_signed_ranks_and_not_the_number_of_users(tmp_path, write_run):
    """More users lose a little than gain much: gain, signed ranks and so the mark are those of the larger changes."""
    for name, ranks in (("base", [3, 30]), ("ours", [4, 1])):
        write_run(tmp_path / f"d/{name}/seed1", np.repeat(ranks, [300, 250]))
    entries = (ModelEntry("base", "BPR", None, {}), ModelEntry("ours", "BPR", "base", {}))
    comparison = compare_runs(Plan("T", "", entries, ("d",), (1,), {}, {}, ("mrr@10",), "holm", tmp_path))
    assert comparison["rows"][1]["tests"]["all"]["mrr@10"]["favours"] == 1
    assert results_frame(comparison, "d")["MRR@10"].tolist() == ["0.1818", "0.5909 (+225.0 %)*"]
    assert "†" not in to_markdown(comparison)


def test_a_significant_result_over_a_base_of_zero_has_no_gain(tmp_path, write_run):
    for name, rank in (("base", 30), ("ours", 1)):
        write_run(tmp_path / f"d/{name}/seed1", [rank] * 40)
    entries = (ModelEntry("base", "BPR", None, {}), ModelEntry("ours", "BPR", "base", {}))
    comparison = compare_runs(Plan("T", "", entries, ("d",), (1,), {}, {}, ("hit@10",), "holm", tmp_path))
    assert results_frame(comparison, "d")["Hit@10"].tolist() == ["0.0000", "1.0000*"]


def test_columns_of_further_protocols_are_the_last(plan, write_evaluation):
    for name, rank in (("base", 8), ("ours", 2)):
        for seed in (1, 2):
            write_evaluation(plan.out / f"d/{name}/seed{seed}", "uni-100", [rank] * 30 + [20] * 30)
    comparison = compare_runs(replace(plan, also={"uni 100": {"eval_args": {"mode": "uni100"}}}))
    frame = results_frame(comparison, "d")
    assert list(frame.columns[1:3]) == ["Hit@10", "NDCG@10"] and list(frame.columns[5:]) == [
        "uni 100 Hit@10", "uni 100 NDCG@10"
    ]  # fmt: skip
    assert frame["uni 100 NDCG@10"].tolist() == [
        "0.1577 ± 0.0000", "0.3155 ± 0.0000 (+100.0 %)*", "not evaluated"
    ]  # fmt: skip
    pd.testing.assert_frame_equal(frame.iloc[:, :5], results_frame(compare_runs(plan), "d"))
    text = to_markdown(comparison)
    assert "uni 100 NDCG@10" in text and "over the 10 comparisons" in text
    assert tables.tests_frame(comparison)["metric"].tolist()[4:6] == ["uni 100 Hit@10", "uni 100 NDCG@10"]
    old = {key: value for key, value in compare_runs(plan).items() if key != "also"}  # written before there were any
    for row in old["rows"]:
        del row["also"]
    assert to_markdown(old) == to_markdown(compare_runs(plan)) and to_latex(comparison)
