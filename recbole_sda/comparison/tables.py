"""What a comparison found: means over seeds, gains over the base, paired tests over users; as JSON, Markdown and LaTeX."""

import json
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import pandas as pd

from recbole_sda import __version__
from recbole_sda.comparison.plan import ModelEntry, Plan, PlannedRun
from recbole_sda.comparison.user_metrics import SCOPES, case_hash, user_metrics
from recbole_sda.engine.run_folder import read_metrics
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import atomic_write
from recbole_sda.metrics.significance import corrected, paired_tests

COMPARISON = "comparison.json"
FORMAT = 2  # of comparison.json; 1, without a number, lacks what a test favours
LEVEL, AGAINST = 0.05, "†"
TESTS = ("wilcoxon", "t")
SAME_RULES = ("split", "evaluation", "items", "repeatable")  # of the protocol; without them a gain means nothing


def compare_runs(plan: Plan) -> Dict[str, Any]:
    """Return the comparison of all finished runs of a plan.

    Each row of the result has, per scope (all cases, tail items) and metric, the mean over seeds with its sample deviation,
    and, where the row has a base, the relative gain of that mean over the seeds that both have, and the paired tests of users'
    metrics, averaged over these seeds. The p-values of the whole comparison are corrected together.
    """
    found = {(row.name, dataset): _of_row(plan, row, dataset) for dataset in plan.datasets for row in plan.rows}
    lines = [line for line in found.values() if line is not None]
    for line in lines:
        base = found.get((line["base"], line["dataset"])) if line["base"] else None
        if base is not None:
            _against(line, base)
    tests = [test for line in lines for of_scope in line["tests"].values() for test in of_scope.values()]
    for kind in TESTS:
        for test, p in zip(tests, corrected([test[kind] for test in tests], plan.correction)):
            test[f"{kind}_corrected"] = p
    for line in lines:
        del line["users"], line["case_hashes"]
    return {
        "recbole_sda": __version__,
        "format": FORMAT,
        "title": plan.title,
        "about": plan.about,
        "metrics": list(plan.metrics),
        "correction": plan.correction,
        "comparisons": len(tests),
        "seeds": list(plan.seeds),
        "rows": lines,
        "without_runs": {
            dataset: [row.name for row in plan.rows if found[row.name, dataset] is None] for dataset in plan.datasets
        },
    }


def _of_row(plan: Plan, row: ModelEntry, dataset: str) -> Optional[Dict[str, Any]]:
    cells = [cell for cell in (plan.cell(row, dataset, seed) for seed in plan.seeds) if cell.is_done]
    if not cells:
        return None
    results = [read_metrics(cell.folder) for cell in cells]
    users = {scope: {cell.seed: user_metrics(cell.folder, plan.metrics, scope) for cell in cells} for scope in SCOPES}
    last = results[-1]
    return {
        "row": row.name,
        "model": row.model,
        "base": row.base,
        "dataset": last["dataset"] if plan.datasets.count(last["dataset"]) else dataset,
        "ran_on": last["dataset"],
        "seeds": [cell.seed for cell in cells],
        "runs": [str(cell.folder) for cell in cells],
        "protocol": last["protocol"],
        "cases": {scope: len(tables[cells[0].seed]) for scope, tables in users.items()},
        "metrics": {scope: _means(results, plan, cells, scope) for scope in SCOPES},
        "tests": {},
        "cost": {
            "seconds_per_epoch": float(np.mean([r["seconds"]["training"] / max(r["epochs_run"], 1) for r in results])),
            "epochs": [r["epochs_run"] for r in results],
            "parameters": last["parameters"],
        },
        "users": users,
        "case_hashes": {cell.seed: case_hash(cell.folder) for cell in cells},
    }


def _means(results: List[dict], plan: Plan, cells: List[PlannedRun], scope: str) -> Dict[str, Dict[str, float]]:
    found = {}
    for name in plan.metrics:
        values = [_value(result, cell, name, scope) for result, cell in zip(results, cells)]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        found[name] = {"mean": float(np.mean(values)), "deviation": spread, "values": values}
    return found


def _value(result: dict, cell: PlannedRun, name: str, scope: str) -> float:
    if scope == "all" and name in result["test"]:
        return result["test"][name]
    table = user_metrics(cell.folder, [name], scope)
    return float(table[name].mean()) if len(table) else float("nan")


def _against(line: Dict[str, Any], base: Dict[str, Any]) -> None:
    """Add gains and tests of a row against its base, over the seeds that both have."""
    seeds = [seed for seed in line["seeds"] if seed in base["seeds"]]
    if not seeds:
        return
    for key in SAME_RULES:
        values = [of["protocol"].get(key) for of in (line, base)]
        if values[0] != values[1]:
            raise InputError(
                f"{line['row']} and {base['row']} on {line['dataset']} cannot be compared: {key} is {values[0]!r} and "
                f"{values[1]!r}"
            )
    for seed in seeds:
        same_users = (line["users"][s][seed].index.equals(base["users"][s][seed].index) for s in SCOPES)
        if line["case_hashes"][seed] != base["case_hashes"][seed] or not all(same_users):
            raise InputError(
                f"{line['row']} and {base['row']} on {line['dataset']} have other test users or items with seed {seed}: were "
                "the data changed between them?"
            )
    line["gain"], line["tests"] = {}, {}
    for scope in SCOPES:
        # A random split gives each seed its own test cases: a user's mean is over the seeds that have the user.
        ours, theirs = (
            pd.concat([of["users"][scope][seed] for seed in seeds]).groupby(level=0).mean() for of in (line, base)
        )
        line["gain"][scope] = {name: _gain(line, base, seeds, scope, name) for name in ours}
        if len(ours):
            line["tests"][scope] = {name: paired_tests(ours[name].to_numpy(), theirs[name].to_numpy()) for name in ours}


def _gain(line, base, seeds: List[int], scope: str, name: str) -> Optional[float]:
    """Return the relative gain of the mean over these seeds; None over a base of zero or without cases."""
    ours, theirs = (
        np.mean([value for seed, value in zip(of["seeds"], of["metrics"][scope][name]["values"]) if seed in seeds])
        for of in (line, base)
    )
    return float(ours / theirs - 1) if theirs > 0 else None


# what people look at --------------------------------------------------------------------------------------------------
def metric_title(name: str) -> str:
    """Return a metric as it is printed: ``NDCG@10`` for ``ndcg@10``."""
    metric, _, k = name.partition("@")
    return f"{metric.upper() if metric in ('ndcg', 'mrr') else metric.capitalize()}@{k}"


def results_frame(found: Dict[str, Any], dataset: str) -> pd.DataFrame:
    """Return the table of one data set as text: mean ± deviation, gain over the base, * where it is significant."""
    lines = []
    for line in found["rows"]:
        if line["dataset"] != dataset:
            continue
        cells = {"model": line["row"]}
        for scope in SCOPES:
            for name in found["metrics"]:
                cells[("" if scope == "all" else f"{scope} ") + metric_title(name)] = _cell(line, scope, name)
        lines.append(cells)
    return pd.DataFrame(lines)


def _cell(line: Dict[str, Any], scope: str, name: str) -> str:
    value = line["metrics"][scope][name]
    if np.isnan(value["mean"]):
        return "no cases"
    text = f"{value['mean']:.4f}" + ("" if value["deviation"] is None else f" ± {value['deviation']:.4f}")
    gain = (line.get("gain") or {}).get(scope, {}).get(name)
    if gain is not None:
        text += f" ({100 * gain:+.1f} %)"
    return text + _mark(line, scope, name)


def _mark(line: Dict[str, Any], scope: str, name: str) -> str:
    """Return * for a significant difference, AGAINST for one in which the signed ranks do not speak for the printed sign."""
    test = line["tests"].get(scope, {}).get(name)
    if not test or test["wilcoxon_corrected"] >= LEVEL:
        return ""
    return "*" if test["favours"] * (line["gain"][scope][name] or test["difference"]) > 0 else AGAINST


def tests_frame(found: Dict[str, Any]) -> pd.DataFrame:
    """Return the paired tests as text, a line each."""
    lines = []
    for line in found["rows"]:
        for scope, tests in line["tests"].items():
            for name, test in tests.items():
                lines.append(
                    {
                        "data": line["dataset"],
                        "comparison": f"{line['row']} - {line['base']}",
                        "metric": ("" if scope == "all" else f"{scope} ") + metric_title(name),
                        "users": test["users"],
                        "difference": f"{test['difference']:+.4f}",
                        "95 % interval": f"{test['low']:+.4f} to {test['high']:+.4f}",
                        "p Wilcoxon": f"{test['wilcoxon_corrected']:.2g}",
                        "p t": f"{test['t_corrected']:.2g}",
                    }
                )
    return pd.DataFrame(lines)


def protocol_line(found: Dict[str, Any], dataset: str) -> str:
    """Say under which protocol the numbers of a data set were made."""
    lines = [line for line in found["rows"] if line["dataset"] == dataset]
    ran_on = {line["ran_on"]: None for line in lines if line["ran_on"] != dataset}
    alike: Dict[str, List[Dict[str, Any]]] = {}
    for line in lines:
        alike.setdefault(_rules(line), []).append(line)
    seeds = ", ".join(map(str, found["seeds"]))
    parts = [
        f"{', '.join(line['row'] for line in of)}: " * (len(alike) > 1)
        + f"loss {' / '.join(sorted({line['protocol']['loss'] for line in of}))} | {rules} | seeds {seeds}"
        for rules, of in alike.items()
    ]
    title = f"{dataset}:" + "".join(f" THE BUILT-IN MINIATURE {name}, invented data:" for name in ran_on)
    return f"{title} {parts[0]}" if len(parts) == 1 else "; ".join([f"{title} THE ROWS HAVE NOT ONE PROTOCOL", *parts])


def _rules(line: Dict[str, Any]) -> str:
    rules, cases = line["protocol"], line["cases"]
    return (
        f"{rules['split']} | {rules['evaluation']['test']} over {rules['items']} items | epoch by {rules['selection']} | "
        f"{cases['all']} users, {cases['tail']} with tail items"
    )


def unfinished(found: Dict[str, Any], dataset: str) -> List[str]:
    """Return lines that say of which rows no run is done, or not those of all seeds; nothing where all are."""
    wanted = found["seeds"]
    short = [
        f"{line['row']}: seeds {', '.join(map(str, line['seeds']))} of {', '.join(map(str, wanted))}"
        for line in found["rows"]
        if line["dataset"] == dataset and line["seeds"] != wanted
    ]
    lines = []
    if short:
        lines.append(f"Not all runs are done; gains and tests are over the seeds that both have. {'; '.join(short)}.")
    missing = found.get("without_runs", {}).get(dataset)
    if missing:
        lines.append(
            f"Without a finished run: {', '.join(missing)}. What is compared with them has no gain and no test."
        )
    return lines


def notes(found: Dict[str, Any]) -> str:
    """Say how the tables are to be read."""
    if not found["comparisons"]:
        return "Mean ± sample deviation over seeds. Tail items: by training interactions."
    marks = {_mark(line, scope, name) for line in found["rows"] for scope, of in line["tests"].items() for name in of}
    side = "more and larger ranks are on the other side of the mean"
    against = f" {AGAINST}: significant as well, but {side}." * (AGAINST in marks)
    return (
        f"Mean ± sample deviation over seeds; in brackets the gain over the row's base. *: Wilcoxon signed-rank over users "
        f"(each user's metric averaged over the seeds), p < {LEVEL:g} after {found['correction']} correction over the "
        f"{found['comparisons']} comparisons of this table.{against} The intervals are bootstrap intervals over users; "
        "they do not hold the variation of seeds, which the deviation shows. Tail items: by training interactions."
    )


def to_markdown(found: Dict[str, Any]) -> str:
    """Return the whole comparison as Markdown."""
    parts = [f"# {found['title']}", found["about"]] if found["about"] else [f"# {found['title']}"]
    for dataset in dict.fromkeys(line["dataset"] for line in found["rows"]):
        parts += [protocol_line(found, dataset), results_frame(found, dataset).to_markdown(index=False)]
        parts += unfinished(found, dataset)
    parts.append(notes(found))
    tests = tests_frame(found)
    if len(tests):
        parts += ["## Paired tests", tests.to_markdown(index=False, disable_numparse=True)]
    return "\n\n".join(parts) + "\n"


def to_latex(found: Dict[str, Any]) -> str:
    """Return the result tables as LaTeX (packages booktabs and caption are enough)."""
    parts = []
    for dataset in dict.fromkeys(line["dataset"] for line in found["rows"]):
        frame = results_frame(found, dataset)
        table = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
        text = table.to_latex(hrules=True, column_format="l" + "r" * (len(frame.columns) - 1), position="t",
                              caption=_escaped(protocol_line(found, dataset)))  # fmt: skip
        parts.append(text.replace("±", "$\\pm$").replace(AGAINST, "$\\dagger$"))
    return "% " + notes(found).replace("±", "+-").replace(AGAINST, "dagger") + "\n" + "\n".join(parts)


def _escaped(text: str) -> str:
    return "".join({"_": "\\_", "%": "\\%", "&": "\\&", "#": "\\#"}.get(c, c) for c in text)


def write_tables(found: Dict[str, Any], out: Path) -> List[Path]:
    """Write comparison.json, .md and .tex; return their paths."""
    contents = {".json": json.dumps(found, indent=2), ".md": to_markdown(found), ".tex": to_latex(found)}
    paths = [(out / COMPARISON).with_suffix(suffix) for suffix in contents]
    for path, text in zip(paths, contents.values()):
        with atomic_write(path) as draft:
            draft.write_text(text, encoding="utf-8")
    return paths


def read_comparison(path: Path) -> Dict[str, Any]:
    """Return what :func:`write_tables` wrote; a damaged file, or one of another format, is an InputError."""
    again = f"`compare PLAN --table --out={path.parent}` writes it again"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is damaged ({error}); {again}") from None
    written = found.get("format", 1) if isinstance(found, dict) else None
    if written != FORMAT:
        raise InputError(f"{path} is of format {written}, expected {FORMAT}; {again}")
    return found
