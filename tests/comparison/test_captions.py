"""Sentences below and above the tables: protocols, and runs that are doubtful or missing."""

import json
from dataclasses import replace

from recbole_sda.comparison.captions import protocol_line, reservations
from recbole_sda.comparison.plan import Plan
from recbole_sda.comparison.planned_run import ModelEntry
from recbole_sda.comparison.statistics import compare_runs
from recbole_sda.comparison.tables import to_markdown


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


def test_further_protocols_are_named(plan, write_evaluation):
    """With the rows that lack an evaluation, and those that have other rules under the same name."""
    rows = (plan.models[0], ModelEntry("ours", "BPR", None, {}))
    plan = replace(plan, models=rows, also={"uni100": {"eval_args": {"mode": "uni100"}}})
    assert ". The same runs under uni100: no finished evaluation" in protocol_line(compare_runs(plan), "d")
    write_evaluation(plan.out / "d/base/seed1", "uni100", [1, 2], evaluation={"test": "100 uniform negatives"})
    comparison = compare_runs(plan)
    assert ". The same runs under uni100: leave-one-out | 100 uniform negatives over 99 items, known items" in (
        protocol_line(comparison, "d")
    )
    assert "DIFFERENT" not in protocol_line(comparison, "d") and protocol_line(comparison, "d").endswith("| 2 users")
    assert reservations(comparison, "d") == [
        "Not all finished runs are evaluated under uni100: base: seed 1; ours: none."
    ]
    write_evaluation(plan.out / "d/ours/seed1", "uni100", [1, 2], evaluation={"test": "100 popular negatives"})
    line = protocol_line(compare_runs(plan), "d")
    assert "under uni100: THE ROWS HAVE DIFFERENT PROTOCOLS; base: leave-one-out | 100 uniform" in line
    assert "; ours: leave-one-out | 100 popular" in line
    for name in ("base", "ours"):
        write_evaluation(plan.out / f"d/{name}/seed2", "uni100", [1, 2])
    assert reservations(compare_runs(plan), "d") == []
