"""Statistics of a comparison: means over seeds, gains over the base, and paired tests over users."""

from typing import Any, Dict, List, Optional

import numpy as np
import pandas as pd

from recbole_sda import __version__
from recbole_sda.comparison.plan import ModelEntry, Plan, PlannedRun
from recbole_sda.comparison.user_metrics import SCOPES, case_hash, user_metrics
from recbole_sda.engine.run_folder import read_metrics
from recbole_sda.errors import InputError
from recbole_sda.metrics.significance import correct_p_values, paired_tests

FORMAT = 2  # of comparison.json; 1, without a number, lacks the direction of a test ("favours")
TESTS = ("wilcoxon", "t")
SAME_RULES = ("split", "evaluation", "history", "items")  # of the protocol; where they differ, a gain means nothing

Row = Dict[str, Any]  # of comparison.json: the results of one model entry on one data set


def compare_runs(plan: Plan) -> Dict[str, Any]:
    """Return the comparison of all finished runs of a plan.

    Each of its ``rows`` has, per scope (``all`` cases, ``tail`` items) and metric, the mean over seeds with the sample standard
    deviation. Where the row has a base with a finished run, it also has ``gain``, the relative gain of the mean, and ``tests``,
    paired tests of users' metrics (see :func:`recbole_sda.metrics.significance.paired_tests`). Gain and tests use only the
    seeds that the row and its base have in common; without a common seed there is neither. A user's metric is averaged over
    these seeds. The p-values of the whole comparison are corrected together.

    Raises:
        InputError: a row and its base were evaluated under different rules or on different test cases, or a result is damaged.
    """
    by_name = {(entry.name, dataset): _row(plan, entry, dataset) for dataset in plan.datasets for entry in plan.models}
    rows = [row for row in by_name.values() if row is not None]
    for row in rows:
        base = by_name.get((row["base"], row["dataset"])) if row["base"] else None
        if base is not None:
            _compare_with_base(row, base)
    tests = [test for row in rows for of_scope in row["tests"].values() for test in of_scope.values()]
    for kind in TESTS:
        for test, p in zip(tests, correct_p_values([test[kind] for test in tests], plan.correction)):
            test[f"{kind}_corrected"] = p
    for row in rows:
        del row["users"], row["case_hashes"]
    return {
        "recbole_sda": __version__,
        "format": FORMAT,
        "title": plan.title,
        "about": plan.about,
        "metrics": list(plan.metrics),
        "correction": plan.correction,
        "comparisons": len(tests),
        "seeds": list(plan.seeds),
        "rows": rows,
        "without_runs": {
            dataset: [entry.name for entry in plan.models if by_name[entry.name, dataset] is None]
            for dataset in plan.datasets
        },
    }


def _row(plan: Plan, entry: ModelEntry, dataset: str) -> Optional[Row]:
    runs = [run for run in (plan.run(entry, dataset, seed) for seed in plan.seeds) if run.is_done]
    if not runs:
        return None
    results = [read_metrics(run.folder) for run in runs]
    users = {scope: {run.seed: user_metrics(run.folder, plan.metrics, scope) for run in runs} for scope in SCOPES}
    last = results[-1]
    return {
        "row": entry.name,
        "model": entry.model,
        "base": entry.base,
        "dataset": dataset,
        "ran_on": last["dataset"],
        "seeds": [run.seed for run in runs],
        "runs": [str(run.folder) for run in runs],
        "protocol": last["protocol"],
        "warnings": {run.seed: result["warnings"] for run, result in zip(runs, results) if result.get("warnings")},
        "cases": {scope: len(tables[runs[0].seed]) for scope, tables in users.items()},
        "metrics": {scope: _means(results, plan, runs, scope) for scope in SCOPES},
        "tests": {},
        "cost": {
            "seconds_per_epoch": float(np.mean([r["seconds"]["training"] / max(r["epochs_run"], 1) for r in results])),
            "epochs": [result["epochs_run"] for result in results],
            "parameters": last["parameters"],
        },
        "users": users,
        "case_hashes": {run.seed: case_hash(run.folder) for run in runs},
    }


def _means(results: List[Dict[str, Any]], plan: Plan, runs: List[PlannedRun], scope: str) -> Dict[str, Dict[str, Any]]:
    means = {}
    for name in plan.metrics:
        values = [_value(result, run, name, scope) for result, run in zip(results, runs)]
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        means[name] = {"mean": float(np.mean(values)), "deviation": deviation, "values": values}
    return means


def _value(result: Dict[str, Any], run: PlannedRun, name: str, scope: str) -> float:
    if scope == "all" and name in result["test"]:
        return result["test"][name]
    table = user_metrics(run.folder, [name], scope)
    return float(table[name].mean()) if len(table) else float("nan")


def _compare_with_base(row: Row, base: Row) -> None:
    """Add ``gain`` and ``tests`` to a row, over the seeds that it has in common with its base."""
    seeds = [seed for seed in row["seeds"] if seed in base["seeds"]]
    if not seeds:
        return
    _check_comparable(row, base, seeds)
    row["gain"] = {}
    for scope in SCOPES:
        # A random split gives each seed its own test cases: a user's mean is over the seeds that have the user.
        ours, theirs = (
            pd.concat([of["users"][scope][seed] for seed in seeds]).groupby(level=0).mean() for of in (row, base)
        )
        row["gain"][scope] = {name: _gain(row, base, seeds, scope, name) for name in ours}
        if len(ours):
            row["tests"][scope] = {name: paired_tests(ours[name].to_numpy(), theirs[name].to_numpy()) for name in ours}


def _check_comparable(row: Row, base: Row, seeds: List[int]) -> None:
    """Refuse a row and a base with different evaluation rules, or with different test cases at one of the seeds."""
    names = f"{row['row']} and {base['row']} on {row['dataset']}"
    for key in SAME_RULES:
        ours, theirs = row["protocol"].get(key), base["protocol"].get(key)
        if ours != theirs:
            raise InputError(f"{names} cannot be compared: {key} is {ours!r} and {theirs!r}")
    for seed in seeds:
        same_users = (row["users"][s][seed].index.equals(base["users"][s][seed].index) for s in SCOPES)
        if row["case_hashes"][seed] != base["case_hashes"][seed] or not all(same_users):
            raise InputError(
                f"{names} have different test users or items with seed {seed}: were the data changed between the runs?"
            )


def _gain(row: Row, base: Row, seeds: List[int], scope: str, name: str) -> Optional[float]:
    """Return the relative gain of the mean over these seeds; None where the base has mean zero or no cases."""
    ours, theirs = (
        np.mean([value for seed, value in zip(of["seeds"], of["metrics"][scope][name]["values"]) if seed in seeds])
        for of in (row, base)
    )
    return float(ours / theirs - 1) if theirs > 0 else None
