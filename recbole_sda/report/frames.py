"""Tables of a report beside those of the comparison: groups of items and users, spread of recommendations, cost."""

from typing import List

import numpy as np
import pandas as pd

from recbole_sda.comparison.tables import metric_title
from recbole_sda.report.collect import Line

GROUPS = (("items", "cold"), ("items", "tail"), ("items", "head"), ("users", "short"), ("users", "long"))


def groups_frame(lines: List[Line], metrics: List[str]) -> pd.DataFrame:
    """Return the metrics by groups of items and users, a line per row of the comparison; groups without cases are left out."""
    first, rows = lines[0], []
    for line in lines:
        cells = {"model": line.row}
        for what, name in GROUPS:
            if first.cases(what, name):
                for metric in metrics:
                    title = f"{name} {what} ({first.cases(what, name):,}) {metric_title(metric)}"
                    cells[title] = f"{line.group(what, name, metric):.4f}"
        rows.append(cells)
    return pd.DataFrame(rows)


def cold_note(lines: List[Line]) -> str:
    """Say what the column of cold items means here."""
    n = lines[0].cases("items", "cold")
    if not n:
        return "No test item is cold: each has at least one interaction in the training part."
    return f"Cold items have no interaction in the training part: {n:,} test cases. Only features can place them."


def spread_frame(lines: List[Line]) -> pd.DataFrame:
    """Return coverage, Gini index and average popularity of what is recommended, mean over seeds; empty under sampling."""
    rows = []
    for line in lines:
        spreads = [result["groups"]["test"].get("spread") for result in line.results]
        if not all(spreads):
            return pd.DataFrame()
        at = "@10" if "@10" in spreads[0] else next(iter(spreads[0]))
        means = {name: np.mean([spread[at][name] for spread in spreads]) for name in spreads[0][at]}
        rows.append(
            {
                "model": line.row,
                f"coverage{at}": f"{means['coverage']:.3f}",
                f"Gini{at}": f"{means['gini']:.3f}",
                f"average popularity{at}": f"{means['average_popularity']:.1f}",
            }
        )
    return pd.DataFrame(rows)


def cost_frame(lines: List[Line]) -> pd.DataFrame:
    """Return time, memory and size, mean over seeds."""
    rows = []
    for line in lines:
        results, training = line.results, [result["seconds"]["training"] for result in line.results]
        epochs = [result["epochs_run"] for result in results]
        memory = [result.get("peak_memory_gib", {}) for result in results]
        cells = {
            "model": line.row,
            "parameters": f"{results[0]['parameters']:,}",
            "epochs": ", ".join(f"{result['best_epoch']} of {n}" for result, n in zip(results, epochs)),
            "s per epoch": f"{np.mean([t / max(n, 1) for t, n in zip(training, epochs)]):.2f}",
            "s of training": f"{np.mean(training):.1f}",
        }
        for kind in ("resident", "gpu"):
            if all(kind in found for found in memory):
                cells[f"peak memory, {kind}, GiB"] = f"{np.mean([found[kind] for found in memory]):.2f}"
        rows.append({**cells, "device": results[0]["environment"]["device"]})
    return pd.DataFrame(rows)
