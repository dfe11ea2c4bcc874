"""The tables of a comparison: marks, protocols, LaTeX, and comparison.json read again."""

import json

import numpy as np
import pytest

from recbole_sda.comparison.plan import ModelEntry, Plan
from recbole_sda.comparison.statistics import compare_runs
from recbole_sda.comparison.tables import read_comparison, results_frame, to_latex, to_markdown, write_tables
from recbole_sda.errors import InputError


def test_what_is_written(plan):
    found = compare_runs(plan)
    text = to_markdown(found)
    mean = found["rows"][1]["metrics"]["all"]["hit@10"]["mean"]
    assert f"| {mean:.4f} ± " in text and "2 seeds" not in text and "seeds 1, 2" in text
    assert "holm correction over the 8 comparisons" in text and "ours - base" in text
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


def test_rows_under_different_protocols_are_named(plan):
    rows = (plan.models[0], ModelEntry("ours", "BPR", None, {}))
    plan = Plan(**{**vars(plan), "models": rows})
    assert "DIFFERENT PROTOCOLS" not in to_markdown(compare_runs(plan))
    for seed in (1, 2):
        path = plan.out / f"d/ours/seed{seed}/metrics.json"
        path.write_text(path.read_text().replace("full sort", "20 uniform negatives"))
    text = to_markdown(compare_runs(plan))
    assert "THE ROWS HAVE DIFFERENT PROTOCOLS; base: loss CE | leave-one-out | full sort over 99" in text
    assert "; ours: loss CE | leave-one-out | 20 uniform negatives over 99" in text


def test_a_written_comparison_is_read_again(plan):
    found = compare_runs(plan)
    path = write_tables(found, plan.out)[0]
    assert read_comparison(path) == found
    path.write_text(path.read_text()[:100])
    with pytest.raises(InputError, match=r"comparison\.json is damaged .*--table"):
        read_comparison(path)
    for other, written in (({k: v for k, v in found.items() if k != "format"}, 1), ({"format": 9}, 9), ([], None)):
        path.write_text(json.dumps(other))
        with pytest.raises(InputError, match=f"has format {written}, expected 2; .*--table --out={plan.out}"):
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


def test_doubtful_runs_are_named(plan):
    """A dead start stands below the table, with the row and the seed."""
    folder = plan.run(plan.models[0], plan.datasets[0], plan.seeds[1]).folder
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(
        json.dumps({**metrics, "warnings": ["dead start: 90% of all recommendations"]})
    )
    comparison = compare_runs(plan)
    assert comparison["rows"][0]["warnings"] == {plan.seeds[1]: ["dead start: 90% of all recommendations"]}
    text = to_markdown(comparison)
    assert f"{plan.models[0].name}, seed {plan.seeds[1]}: dead start: 90% of all recommendations." in text
