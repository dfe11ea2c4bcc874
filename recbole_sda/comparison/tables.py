"""Result tables of a comparison: as text, Markdown and LaTeX; comparison.json written and read."""

import json
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pandas as pd

from recbole_sda.comparison.captions import protocol_line, reservations
from recbole_sda.comparison.statistics import FORMAT, ROW_SHAPE, Row
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import write_text
from recbole_sda.io.escape import latex, markdown, markdown_table, one_line
from recbole_sda.io.json import read_json
from recbole_sda.io.schema import COUNT, check_shape
from recbole_sda.validation import check_choice

COMPARISON = "comparison.json"
SHAPE = {
    "title": str, "about": str, "metrics": [str], "correction": str, "groups?": [str], "also?": dict, "comparisons": COUNT,
    "seeds": [int], "rows": [ROW_SHAPE], "without_runs?": {str: [str]},
}  # fmt: skip
LEVEL = 0.05  # of significance
# Mark of a significant result whose signed ranks favour the base although the gain is positive, or the reverse.
AGAINST_GAIN = "†"
ABOUT_GROUPS = {
    "tail": "Tail items are those with few training interactions.",
    "cold": "Cold items have no training interaction.",
    "warm": "Warm items have at least one training interaction.",
}


def metric_title(name: str) -> str:
    """Return a metric's name as it is printed.

    Example:
        >>> metric_title("ndcg@10"), metric_title("hit@5")
        ('NDCG@10', 'Hit@5')
    """
    metric, _, k = name.partition("@")
    return f"{metric.upper() if metric in ('ndcg', 'mrr') else metric.capitalize()}@{k}"


def _column_title(scope: str, name: str) -> str:
    return ("" if scope == "all" else f"{scope} ") + metric_title(name)


def datasets_of(comparison: Dict[str, Any]) -> List[str]:
    """Return the data sets that have rows, in the order of the rows."""
    return list(dict.fromkeys(row["dataset"] for row in comparison["rows"]))


def groups_of(comparison: Dict[str, Any]) -> List[str]:
    """Return the groups of items with columns of their own; comparisons of an earlier version all have ``tail``."""
    groups: List[str] = comparison.get("groups", ["tail"])
    return groups


def results_frame(comparison: Dict[str, Any], dataset: str) -> pd.DataFrame:
    """Return the result table of one data set as text: mean ± standard deviation, gain over the base, significance mark.

    The columns of the further protocols are the last.
    """
    table, scopes = [], ["all", *groups_of(comparison), *comparison.get("also", ())]
    for row in comparison["rows"]:
        if row["dataset"] == dataset:
            columns = {_column_title(scope, name): (scope, name) for scope in scopes for name in comparison["metrics"]}
            table.append({"model": row["row"], **{title: _result(row, *column) for title, column in columns.items()}})
    return pd.DataFrame(table)


def _result(row: Row, scope: str, name: str) -> str:
    if scope not in row["metrics"]:
        return "not evaluated"
    value = row["metrics"][scope][name]
    if np.isnan(value["mean"]):
        return "no cases"
    text = f"{value['mean']:.4f}" + ("" if value["deviation"] is None else f" ± {value['deviation']:.4f}")
    gain = (row.get("gain") or {}).get(scope, {}).get(name)
    if gain is not None:
        text += f" ({100 * gain:+.1f} %)"
    return text + _mark(row, scope, name)


def _mark(row: Row, scope: str, name: str) -> str:
    """Return the significance mark: ``*`` where the signed ranks have the sign of the gain, else ``AGAINST_GAIN``."""
    test = row["tests"].get(scope, {}).get(name)
    if not test or test["wilcoxon_corrected"] >= LEVEL:
        return ""
    gain = row["gain"][scope][name] or test["difference"]  # without a gain (base of zero) nothing else is printed
    return "*" if test["favours"] * gain > 0 else AGAINST_GAIN


def tests_frame(comparison: Dict[str, Any]) -> pd.DataFrame:
    """Return the paired tests as text, one line each."""
    return pd.DataFrame(
        [
            {
                "data": row["dataset"],
                "comparison": f"{row['row']} - {row['base']}",
                "metric": _column_title(scope, name),
                "users": test["users"],
                "difference": f"{test['difference']:+.4f}",
                "95 % interval": f"{test['low']:+.4f} to {test['high']:+.4f}",
                "p Wilcoxon": f"{test['wilcoxon_corrected']:.2g}",
                "p t": f"{test['t_corrected']:.2g}",
            }
            for row in comparison["rows"]
            for scope, tests in row["tests"].items()
            for name, test in tests.items()
        ]
    )


def notes(comparison: Dict[str, Any]) -> str:
    """Return the explanation of the numbers and marks of the tables."""
    groups = "".join(f" {ABOUT_GROUPS[name]}" for name in groups_of(comparison))
    several = any(len(row["seeds"]) > 1 for row in comparison["rows"])
    values = "Mean ± sample standard deviation over seeds" if several else "Values of one seed"
    if not comparison["comparisons"]:
        return f"{values}.{groups}"
    marks = {_mark(row, scope, name) for row in comparison["rows"] for scope, of in row["tests"].items() for name in of}
    against = (
        f" {AGAINST_GAIN}: as significant, but against the gain: the signed ranks, which count many small differences, have "
        "the other sign."
    ) * (AGAINST_GAIN in marks)
    return (
        f"{values}; in brackets, the relative gain over the row's base. *: Wilcoxon signed-rank test over users"
        f"{' (the metric of each user averaged over the seeds)' * several}, p < {LEVEL:g} after "
        f"{comparison['correction'].title()} correction over the {comparison['comparisons']} comparisons of this table.{against} "
        "The intervals are bootstrap intervals over users. They do not include the variation between seeds"
        f"{', which the standard deviation shows' * several}.{groups}"
    )


def to_markdown(comparison: Dict[str, Any]) -> str:
    """Return the tables, the protocol and the tests as Markdown."""
    parts = [f"# {markdown(comparison['title'])}", *([markdown(comparison["about"])] if comparison["about"] else [])]
    for dataset in datasets_of(comparison):
        lines = [protocol_line(comparison, dataset), *reservations(comparison, dataset)]
        parts += [markdown(lines[0]), markdown_table(results_frame(comparison, dataset)), *map(markdown, lines[1:])]
    parts.append(notes(comparison))
    tests = tests_frame(comparison)
    if len(tests):
        parts += ["## Paired tests", markdown_table(tests, disable_numparse=True)]
    return "\n\n".join(parts) + "\n"


def to_latex(comparison: Dict[str, Any]) -> str:
    """Return the result tables as LaTeX, for the packages booktabs and caption."""
    parts = []
    for dataset in datasets_of(comparison):
        frame = results_frame(comparison, dataset)
        frame["model"] = frame["model"].map(one_line)
        table = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
        text = table.to_latex(hrules=True, column_format="l" + "r" * (len(frame.columns) - 1), position="t",
                              caption=latex(protocol_line(comparison, dataset)))  # fmt: skip
        parts.append(text.replace("±", "$\\pm$").replace(AGAINST_GAIN, "$\\dagger$"))
    comment = "% " + notes(comparison).replace("±", "+-").replace(AGAINST_GAIN, "dagger")
    return "\n".join([comment, *parts])


def write_tables(comparison: Dict[str, Any], out: Path) -> List[Path]:
    """Write comparison.json, comparison.md and comparison.tex into a folder; return their paths."""
    contents = {
        ".json": json.dumps(comparison, indent=2, default=str),
        ".md": to_markdown(comparison),
        ".tex": to_latex(comparison),
    }
    paths = [(out / COMPARISON).with_suffix(suffix) for suffix in contents]
    for path, text in zip(paths, contents.values()):
        write_text(path, text)
    return paths


def _check_row(row: Row, names: List[str], where: str) -> None:
    """Check that what the tables read of a row goes together: its runs, metrics and cases of each scope, a gain for each test."""
    if not row["runs"] or len(row["runs"]) != len(row["seeds"]):
        raise InputError(f"{where}: runs: {len(row['runs'])} for {len(row['seeds'])} seeds")
    for scope, metrics in row["metrics"].items():
        check_shape(metrics, dict.fromkeys(names, dict), f"{where}: {scope}")
    check_shape(row["cases"], dict.fromkeys(row["metrics"], COUNT), f"{where}: cases")
    for scope, tests in row["tests"].items():
        gains = check_shape(row.get("gain", {}), {scope: dict}, f"{where}: gain")[scope]
        check_shape(gains, dict.fromkeys(tests, (int, float, None)), f"{where}: gain: {scope}")
        check_shape(row["metrics"], {scope: dict}, f"{where}: metrics")


def read_comparison(path: Path) -> Dict[str, Any]:
    """Return the content of a comparison.json; a damaged file, or one of another format, is an InputError."""
    again = f"`compare PLAN --table --out={path.parent}` writes it again"
    comparison: Dict[str, Any] = read_json(path, dict, again, missing_numbers=True)
    if comparison.get("format", 1) != FORMAT:
        raise InputError(f"{path} has format {comparison.get('format', 1)}, expected {FORMAT}; {again}")
    try:
        check_shape(comparison, SHAPE, str(path))
        for name in groups_of(comparison):
            check_choice(f"{path}: groups", name, list(ABOUT_GROUPS))
        for row in comparison["rows"]:
            _check_row(row, comparison["metrics"], f"{path}: {row['row']}")
    except InputError as error:
        raise InputError(f"{error}; {again}") from None
    return comparison
