"""Statistics of a comparison: means over seeds, gains over the base, and paired tests over users."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import pandas as pd

from recbole_sda import __version__
from recbole_sda.comparison.plan import Plan
from recbole_sda.comparison.planned_run import ModelEntry
from recbole_sda.comparison.user_metrics import case_hash, user_metrics
from recbole_sda.engine.run_folder import PROTOCOL, read_metrics
from recbole_sda.errors import InputError
from recbole_sda.io.schema import COUNT, MAYBE_NAN, NUMBER, Shape
from recbole_sda.metrics.significance import correct_p_values, paired_tests

FORMAT = 2  # of comparison.json; 1, without a number, lacks the direction of a test ("favours")
TESTS = ("wilcoxon", "t")
SAME_RULES = ("split", "evaluation", "history", "items")  # of the protocol; where they differ, a gain means nothing

TEST_SHAPE: Shape = {
    "users": COUNT, "difference": MAYBE_NAN, "low": MAYBE_NAN, "high": MAYBE_NAN, "favours": NUMBER,
    "wilcoxon_corrected": MAYBE_NAN, "t_corrected": MAYBE_NAN,
}  # fmt: skip
ROW_SHAPE: Shape = {
    "row": str, "dataset": str, "base": (str, None), "ran_on": str, "seeds": [int], "runs": [str], "protocol": PROTOCOL,
    "cases": {"all": COUNT}, "warnings?": {str: [str]},
    "metrics": {str: {str: {"mean": MAYBE_NAN, "deviation": (None, MAYBE_NAN), "values": [MAYBE_NAN]}}},
    "tests": {str: {str: TEST_SHAPE}},
    "gain?": {str: {str: (None, MAYBE_NAN)}}, "also": {str: {"seeds": [int], "protocol": PROTOCOL}},
    "cost": {"seconds_per_epoch": NUMBER, "epochs": [COUNT], "parameters": COUNT},
}  # fmt: skip
Row = Dict[str, Any]  # of comparison.json: the results of one model entry on one data set


def compare_runs(plan: Plan) -> Dict[str, Any]:
    """Return the comparison of all finished runs of a plan.

    Each of its ``rows`` has, per scope and metric, the mean over seeds with the sample standard deviation. The scopes are ``all``
    cases, the plan's groups of items, and the name of each further protocol, for all cases under it. The row's ``also`` has the
    seeds and the rules of each further protocol with a finished evaluation.

    Where the row has a base with a finished run, it also has ``gain``, the relative gain of the mean, and ``tests``, paired tests
    of users' metrics (see :func:`recbole_sda.metrics.significance.paired_tests`). Gain and tests of a scope use only the seeds
    that the row and its base have in common there; without a common seed there is neither. A user's metric is averaged over
    these seeds. The p-values of the whole comparison, further protocols included, are corrected together.

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
        "groups": list(plan.groups),
        "also": plan.also,
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
    folders = {run.seed: run.folder for run in runs}
    results = [read_metrics(folder) for folder in folders.values()]
    last = results[-1]
    row: Row = {
        "row": entry.name,
        "model": entry.model,
        "base": entry.base,
        "dataset": dataset,
        "ran_on": last["dataset"],
        "seeds": list(folders),
        "runs": [str(folder) for folder in folders.values()],
        "protocol": last["protocol"],
        "also": {},
        "warnings": {run.seed: result["warnings"] for run, result in zip(runs, results) if result.get("warnings")},
        "cases": {},
        "metrics": {},
        "tests": {},
        "cost": {
            "seconds_per_epoch": float(np.mean([r["seconds"]["training"] / max(r["epochs_run"], 1) for r in results])),
            "epochs": [result["epochs_run"] for result in results],
            "parameters": last["parameters"],
        },
        "users": {},
        "case_hashes": {},
    }
    for scope in ("all", *plan.groups):
        _add_scope(row, scope, folders, plan.metrics, scope)
    for name in plan.also:
        done = [evaluation for run in runs for evaluation in plan.evaluations(run) if evaluation.protocol == name]
        of_protocol = {evaluation.run.seed: evaluation.folder for evaluation in done if evaluation.is_done}
        if of_protocol:
            protocols = [read_metrics(folder, evaluation=True)["protocol"] for folder in of_protocol.values()]
            row["also"][name] = {"seeds": list(of_protocol), "protocol": protocols[-1]}
            _add_scope(row, name, of_protocol, plan.metrics, "all")
    return row


def _add_scope(row: Row, scope: str, folders: Dict[int, Path], metrics: Sequence[str], cases: str) -> None:
    """Add the results in a scope of a row, from the folder of each seed; ``cases`` is the scope of :func:`user_metrics`."""
    users = {seed: user_metrics(folder, metrics, cases) for seed, folder in folders.items()}
    row["cases"][scope] = len(next(iter(users.values())))
    row["metrics"][scope] = {}
    for name in metrics:
        values = [_value(folder, name, cases) for folder in folders.values()]
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        row["metrics"][scope][name] = {"mean": float(np.mean(values)), "deviation": deviation, "values": values}
    row["users"][scope] = users
    if cases == "all":  # those of groups are a part of them
        row["case_hashes"][scope] = {seed: case_hash(folder) for seed, folder in folders.items()}


def _value(folder: Path, name: str, cases: str) -> float:
    test = read_metrics(folder, evaluation=True)["test"]
    if cases == "all" and name in test:
        return float("nan") if test[name] is None else test[name]
    table = user_metrics(folder, [name], cases)
    return float(table[name].mean()) if len(table) else float("nan")


def seeds_of(row: Row, scope: str) -> List[int]:
    """Return the seeds of a row's results in a scope."""
    return row["also"][scope]["seeds"] if scope in row["also"] else row["seeds"]


def _compare_with_base(row: Row, base: Row) -> None:
    """Add ``gain`` and ``tests`` to a row, in each scope over the seeds that it has in common with its base."""
    for scope in row["metrics"]:
        seeds = [seed for seed in seeds_of(row, scope) if scope in base["metrics"] and seed in seeds_of(base, scope)]
        if not seeds:
            continue
        _check_comparable(row, base, scope, seeds)
        # A random split gives each seed its own test cases: a user's mean is over the seeds that have the user.
        ours, theirs = (
            pd.concat([of["users"][scope][seed] for seed in seeds]).groupby(level=0).mean() for of in (row, base)
        )
        row.setdefault("gain", {})[scope] = {name: _gain(row, base, seeds, scope, name) for name in ours}
        if len(ours):
            row["tests"][scope] = {name: paired_tests(ours[name].to_numpy(), theirs[name].to_numpy()) for name in ours}


def _check_comparable(row: Row, base: Row, scope: str, seeds: List[int]) -> None:
    """Refuse a row and a base with different evaluation rules, or with different test cases at one of the seeds."""
    names = f"{row['row']} and {base['row']} on {row['dataset']}" + f" under {scope}" * (scope in row["also"])
    rules, other_rules = (of["also"].get(scope, of)["protocol"] for of in (row, base))
    for key in SAME_RULES:
        ours, theirs = rules.get(key), other_rules.get(key)
        if ours != theirs:
            raise InputError(f"{names} cannot be compared: {key} is {ours!r} and {theirs!r}")
    for seed in seeds:
        same_users = row["users"][scope][seed].index.equals(base["users"][scope][seed].index)
        hashes = {of["case_hashes"].get(scope, {}).get(seed) for of in (row, base)}
        if len(hashes) > 1 or not same_users:
            raise InputError(
                f"{names} have different test users or items with seed {seed}: were the data changed between the runs?"
            )


def _gain(row: Row, base: Row, seeds: List[int], scope: str, name: str) -> Optional[float]:
    """Return the relative gain of the mean over these seeds; None where the base has mean zero or no cases."""
    means = []
    for of in (row, base):
        values = dict(zip(seeds_of(of, scope), of["metrics"][scope][name]["values"]))
        means.append(np.mean([values[seed] for seed in seeds]))
    return float(means[0] / means[1] - 1) if means[1] > 0 else None
