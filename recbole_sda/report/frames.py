"""Tables of a report that a comparison does not have: groups of items and users, coverage and Gini index, cost."""

from typing import Any, Dict, List

import numpy as np
import pandas as pd

from recbole_sda.comparison.tables import metric_title
from recbole_sda.report.collect import SeedRuns

GROUPS = (
    ("items", "cold"), ("items", "warm"), ("items", "tail"), ("items", "head"), ("users", "short"), ("users", "long"),
)  # fmt: skip


def groups_frame(rows: List[SeedRuns], metrics: List[str]) -> pd.DataFrame:
    """Return the metrics of groups of items and users, one line per row of the comparison; groups without cases are left out."""
    first, lines = rows[0], []
    for row in rows:
        columns = {"model": row.row}
        for kind, name in GROUPS:
            if first.cases(kind, name) and (name != "warm" or first.cases("items", "cold")):
                for metric in metrics:
                    title = f"{name} {kind} ({first.cases(kind, name):,}) {metric_title(metric)}"
                    columns[title] = f"{row.group_mean(kind, name, metric):.4f}"
        lines.append(columns)
    return pd.DataFrame(lines)


def cold_note(rows: List[SeedRuns]) -> str:
    """Return a sentence about the cold items of a data set."""
    n = rows[0].cases("items", "cold")
    if not n:
        return "No test item is cold: each has at least one interaction in the training part."
    return f"Cold items have no interaction in the training part: {n:,} test cases. Only their features can rank them."


def coverage_frame(rows: List[SeedRuns]) -> pd.DataFrame:
    """Return coverage, Gini index and average popularity of the recommendations, mean over seeds.

    Empty where a run was not evaluated on all items (full sort).
    """
    lines = []
    for row in rows:
        by_cutoff = [result["groups"]["test"].get("spread") for result in row.results]
        if not all(by_cutoff):
            return pd.DataFrame()
        common = [at for at in by_cutoff[0] if all(at in values for values in by_cutoff)]
        if not common:
            return pd.DataFrame()
        at = "@10" if "@10" in common else common[0]
        means = {
            name: np.mean([values[at][name] for values in by_cutoff])
            for name in ("coverage", "gini", "average_popularity")
        }
        lines.append(
            {
                "model": row.row,
                f"coverage{at}": f"{means['coverage']:.3f}",
                f"Gini{at}": f"{means['gini']:.3f}",
                f"average popularity{at}": f"{means['average_popularity']:.1f}",
            }
        )
    return pd.DataFrame(lines)


def cost_frame(rows: List[SeedRuns]) -> pd.DataFrame:
    """Return time, memory and number of parameters, mean over seeds."""
    return pd.DataFrame([_cost(row) for row in rows])


def _cost(row: SeedRuns) -> Dict[str, Any]:
    results = row.results
    seconds = [result["seconds"]["training"] for result in results]
    epochs = [result["epochs_run"] for result in results]
    memory = [result.get("peak_memory_gib", {}) for result in results]
    columns = {
        "model": row.row,
        "parameters": f"{results[0]['parameters']:,}",
        "epochs": ", ".join(f"{result['best_epoch']} of {n}" for result, n in zip(results, epochs)),
        "s per epoch": f"{np.mean([t / max(n, 1) for t, n in zip(seconds, epochs)]):.2f}",
        "s of training": f"{np.mean(seconds):.1f}",
    }
    for kind in ("resident", "gpu"):
        if all(kind in peaks for peaks in memory):
            columns[f"peak memory, {kind}, GiB"] = f"{np.mean([peaks[kind] for peaks in memory]):.2f}"
    return {**columns, "device": results[0]["environment"].get("device", "")}
