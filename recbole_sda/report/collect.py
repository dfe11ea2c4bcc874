"""What a report is about: comparisons, runs, adaptations and measures of gradient conflict, found by what their folders hold."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np

from recbole_sda.comparison.plan import FREE_KEYS, ModelEntry, Plan
from recbole_sda.comparison.tables import COMPARISON, SAME_RULES, compare_runs, read_comparison
from recbole_sda.engine.run_folder import CONFIG, METRICS, read_metrics
from recbole_sda.engine.trainer import read_history
from recbole_sda.errors import InputError
from recbole_sda.io.yaml import read_yaml
from recbole_sda.model.registry import SUFFIX, base_name

ADAPTATION, GRADIENTS = "adapt.yaml", "gradients.json"


@dataclass
class Line:
    """The runs of one row of a comparison on one data set, one per seed.

    Attributes:
        row, dataset: what the table calls them.
        folders: of the runs.
        results: what each run's ``metrics.json`` says.
        histories: the lines of each run's ``history.jsonl``.
    """

    row: str
    dataset: str
    folders: List[Path]
    results: List[Dict[str, Any]]
    histories: List[List[Dict[str, Any]]]

    def group(self, what: str, name: str, metric: str) -> float:
        """Return a group's metric on test data, mean over seeds; nan without cases."""
        return float(np.mean([_group(result, what, name).get(metric, np.nan) for result in self.results]))

    def cases(self, what: str, name: str) -> int:
        """Return how many cases a group has."""
        return _group(self.results[0], what, name).get("cases", 0)

    def curve(self, phase: str, key: str) -> List[tuple]:
        """Return per seed the epochs (from 1) and values of a figure of the history; seeds without it are left out."""
        found = []
        for history in self.histories:
            points = [(line["epoch"] + 1, line[key]) for line in history if line["phase"] == phase and key in line]
            if points:
                found.append(tuple(zip(*points)))
        return found


def _group(result: Dict[str, Any], what: str, name: str) -> Dict[str, Any]:
    """Return a group's test metrics; empty where an evaluation without lists (``labeled``) has no groups."""
    return result["groups"].get("test", {}).get(what, {}).get(name, {})


@dataclass
class Material:
    """All that a report shows.

    Attributes:
        comparisons: what :func:`recbole_sda.comparison.tables.compare_runs` returned.
        lines: of these comparisons, in their order.
        adaptations: folder -> record of an adaptation of an LVLM.
        gradients: files with a measure of gradient conflict.
    """

    comparisons: List[Dict[str, Any]] = field(default_factory=list)
    lines: List[Line] = field(default_factory=list)
    adaptations: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    gradients: List[Path] = field(default_factory=list)


def collect(folders: Sequence[str]) -> Material:
    """Read folders of comparisons, runs, adaptations and gradient measures, in any order.

    Raises:
        InputError: a folder is none of these.
    """
    found, runs = Material(), []
    for path in map(Path, folders):
        if (path / COMPARISON).is_file():
            found.comparisons.append(read_comparison(path / COMPARISON))
        elif (path / METRICS).is_file():
            runs.append(path)
        elif (path / ADAPTATION).is_file():
            found.adaptations[str(path)] = read_yaml(path / ADAPTATION)
        elif (path / GRADIENTS).is_file():
            found.gradients.append(path / GRADIENTS)
        else:
            raise InputError(
                f"{path} holds nothing to report on: expected {COMPARISON} (compare), {METRICS} (a run that ended), "
                f"{ADAPTATION} (lvlm adapt) or {GRADIENTS} (lvlm gradients)"
            )
    if runs:
        found.comparisons.append(compare_runs(plan_of_runs(runs)))
    found.lines = [_line(row) for comparison in found.comparisons for row in comparison["rows"]]
    return found


def _line(row: Dict[str, Any]) -> Line:
    folders = [Path(folder) for folder in row["runs"]]
    for folder in folders:
        if not (folder / METRICS).is_file():
            raise InputError(f"{folder} is gone, and {row['row']} on {row['dataset']} was compared by it")
    return Line(row["row"], row["dataset"], folders, [*map(read_metrics, folders)], [*map(read_history, folders)])


def plan_of_runs(folders: Sequence[Path]) -> Plan:
    """Return a comparison of runs that were made one by one.

    A row is a model, with the keys in which its runs differ; an SDA version is compared with the runs of its base, where
    there is one row of them and both were evaluated under the same rules with the same loss. Runs that share all of this, data
    set and seed are an InputError.
    """
    configs = [read_yaml(folder / CONFIG) for folder in folders]
    rows: Dict[str, ModelEntry] = {}
    places: Dict[tuple, Path] = {}
    for folder, config in zip(folders, configs):
        name = _row_name(config, configs)
        rows.setdefault(name, ModelEntry(name, config["model"], None, {}))
        place = (name, config["dataset"], config["seed"])
        if place in places:
            raise InputError(f"{folder} and {places[place]} are the same run twice: {name}, seed {config['seed']}")
        places[place] = folder
    for name, row in rows.items():
        bases = [other.name for other in rows.values() if other.model == base_name(row.model)]
        if row.model.endswith(SUFFIX) and len(bases) == 1 and _same_rules(name, bases[0], places):
            rows[name] = ModelEntry(name, row.model, bases[0], {})
    datasets, seeds = ({place[k]: None for place in places} for k in (1, 2))
    metrics = ("hit@10", "ndcg@10")
    return Plan(
        "Runs", "", tuple(rows.values()), tuple(datasets), tuple(seeds), {}, {}, metrics, "holm", Path(), places
    )


def _same_rules(one: str, other: str, places: Dict[tuple, Path]) -> bool:
    """Return whether two rows were judged alike on each data set that both have."""
    rules: Dict[tuple, Any] = {}
    for (name, dataset, _), folder in places.items():
        told = read_metrics(folder)["protocol"]
        rules[name, dataset] = [told.get(key) for key in (*SAME_RULES, "loss")]
    datasets = {dataset for name, dataset in rules if name == one} & {
        dataset for name, dataset in rules if name == other
    }
    return all(rules[one, dataset] == rules[other, dataset] for dataset in datasets)


def _row_name(config: Dict[str, Any], others: List[Dict[str, Any]]) -> str:
    same = [other for other in others if all(other[key] == config[key] for key in ("model", "dataset"))]
    keys = sorted({key for other in same for key in other} - FREE_KEYS - {"seed"})
    differing = [key for key in keys if any(other.get(key) != config.get(key) for other in same)]
    return ", ".join([config["model"], *(f"{key}={config.get(key)}" for key in differing)])
