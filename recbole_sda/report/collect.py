"""The content of a report: comparisons, runs, adaptations and gradient measurements, recognised by the files in their folders."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple, Union

import numpy as np

from recbole_sda.comparison.plan import Plan
from recbole_sda.comparison.planned_run import FREE_KEYS, ModelEntry
from recbole_sda.comparison.statistics import SAME_RULES, compare_runs
from recbole_sda.comparison.tables import COMPARISON, read_comparison
from recbole_sda.engine.run_folder import CONFIG, CONFIG_SHAPE, METRICS, read_metrics
from recbole_sda.engine.train_log import read_history
from recbole_sda.errors import InputError
from recbole_sda.io.schema import COUNT, check_shape
from recbole_sda.io.yaml import read_yaml
from recbole_sda.lvlm.record import read_record
from recbole_sda.model.model_table import SUFFIX
from recbole_sda.model.registry import base_name

RUNS_TITLE = "Runs"  # of a comparison of runs that were made one by one
ADAPTATION, GRADIENTS = "adapt.yaml", "gradients.json"

Curve = Tuple[Tuple[int, ...], Tuple[float, ...]]  # epochs from 1, values


@dataclass
class SeedRuns:
    """The runs of one row of a comparison on one data set, one per seed.

    Attributes:
        row: name of the row.
        dataset: name of the data set.
        folders: run folders.
        results: the content of each run's ``metrics.json``.
        train_logs: the lines of each run's ``history.jsonl``.
    """

    row: str
    dataset: str
    folders: List[Path]
    results: List[Dict[str, Any]]
    train_logs: List[List[Dict[str, Any]]]

    def group_mean(self, kind: str, name: str, metric: str) -> float:
        """Return the test metric of a group (``items`` or ``users``, its name), mean over seeds; nan without cases."""
        values = [_group(result, kind, name).get(metric) for result in self.results]
        return float(np.mean([np.nan if value is None else value for value in values]))

    def cases(self, kind: str, name: str) -> int:
        """Return the number of test cases of a group."""
        return int(_group(self.results[0], kind, name).get("cases") or 0)

    def curves(self, phase: str, key: str) -> List[Curve]:
        """Return the epochs and values of a key of the training log, one curve per seed; seeds without it are left out."""
        curves: List[Curve] = []
        for log in self.train_logs:
            lines = [line for line in log if line["phase"] == phase and key in line]
            if lines:
                curves.append((tuple(line["epoch"] + 1 for line in lines), tuple(line[key] for line in lines)))
        return curves


def _group(result: Dict[str, Any], kind: str, name: str) -> Dict[str, Any]:
    """Return a group's test metrics; empty where the evaluation has no groups (mode ``labeled``)."""
    return result["groups"].get("test", {}).get(kind, {}).get(name, {})


@dataclass
class ReportData:
    """All data that a report shows.

    Attributes:
        comparisons: results of :func:`recbole_sda.comparison.statistics.compare_runs`.
        rows: the runs of each row of these comparisons, in the same order.
        adaptations: folder -> record of an adaptation of an LVLM.
        gradients: files of gradient measurements.
    """

    comparisons: List[Dict[str, Any]] = field(default_factory=list)
    rows: List[SeedRuns] = field(default_factory=list)
    adaptations: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    gradients: List[Path] = field(default_factory=list)


def collect(folders: Sequence[Union[str, Path]]) -> ReportData:
    """Read folders of comparisons, runs, adaptations and gradient measurements, in any order.

    Raises:
        InputError: a folder is none of these.
    """
    data = ReportData()
    runs = []
    for path in map(Path, folders):
        if (path / COMPARISON).is_file():
            data.comparisons.append(read_comparison(path / COMPARISON))
        elif (path / METRICS).is_file():
            runs.append(path)
        elif (path / ADAPTATION).is_file():
            data.adaptations[str(path)] = read_record(path / ADAPTATION)
        elif (path / GRADIENTS).is_file():
            data.gradients.append(path / GRADIENTS)
        else:
            raise InputError(
                f"{path} has nothing to report on: expected {COMPARISON} (compare), {METRICS} (a finished run), "
                f"{ADAPTATION} (lvlm adapt) or {GRADIENTS} (lvlm gradients)"
            )
    if runs:
        data.comparisons.append(compare_runs(plan_of_runs(runs)))
    data.rows = [_seed_runs(row) for comparison in data.comparisons for row in comparison["rows"]]
    return data


def _seed_runs(row: Dict[str, Any]) -> SeedRuns:
    folders = [Path(folder) for folder in row["runs"]]
    for folder in folders:
        if not (folder / METRICS).is_file():
            raise InputError(f"{folder} is missing; the comparison of {row['row']} on {row['dataset']} used it")
    return SeedRuns(row["row"], row["dataset"], folders, [*map(read_metrics, folders)], [*map(read_history, folders)])


def plan_of_runs(folders: Sequence[Path]) -> Plan:
    """Return the plan of a comparison of runs that were made one by one.

    A row is a model, with the keys in which its runs differ. The row of an SDA model is compared with the row of its base model
    where there is exactly one and both were evaluated under the same rules with the same loss.

    Raises:
        InputError: two runs have the same model, keys, data set and seed.
    """
    configs = [
        check_shape(read_yaml(folder / CONFIG), {**CONFIG_SHAPE, "seed": COUNT}, str(folder / CONFIG))
        for folder in folders
    ]
    entries: Dict[str, ModelEntry] = {}
    folder_of: Dict[Tuple[str, str, int], Path] = {}
    for folder, config in zip(folders, configs):
        name = _row_name(config, configs)
        entries.setdefault(name, ModelEntry(name, config["model"], None, {}))
        place = (name, config["dataset"], config["seed"])
        if place in folder_of:
            raise InputError(f"{folder} and {folder_of[place]} are the same run twice: {name}, seed {config['seed']}")
        folder_of[place] = folder
    for name, entry in entries.items():
        bases = [other.name for other in entries.values() if other.model == base_name(entry.model)]
        if entry.model.endswith(SUFFIX) and len(bases) == 1 and _same_rules(name, bases[0], folder_of):
            entries[name] = ModelEntry(name, entry.model, bases[0], {})
    return Plan(
        title=RUNS_TITLE,
        about="",
        models=tuple(entries.values()),
        datasets=tuple(dict.fromkeys(dataset for _, dataset, _ in folder_of)),
        seeds=tuple(dict.fromkeys(seed for *_, seed in folder_of)),
        keys={},
        dataset_keys={},
        metrics=("hit@10", "ndcg@10"),
        correction="holm",
        out=Path(),
        folders=folder_of,
    )


def _same_rules(one: str, other: str, folder_of: Dict[Tuple[str, str, int], Path]) -> bool:
    """Return whether two rows were evaluated under the same rules with the same loss on each data set that both have."""
    rules: Dict[Tuple[str, str], List[Any]] = {}
    for (name, dataset, _), folder in folder_of.items():
        protocol = read_metrics(folder)["protocol"]
        rules[name, dataset] = [protocol.get(key) for key in (*SAME_RULES, "loss")]
    datasets = {dataset for name, dataset in rules if name == one} & {
        dataset for name, dataset in rules if name == other
    }
    return all(rules[one, dataset] == rules[other, dataset] for dataset in datasets)


def _row_name(config: Dict[str, Any], configs: Sequence[Dict[str, Any]]) -> str:
    same_model = [other for other in configs if all(other[key] == config[key] for key in ("model", "dataset"))]
    keys = sorted({key for other in same_model for key in other} - FREE_KEYS - {"seed"})
    differing = [key for key in keys if any(other.get(key) != config.get(key) for other in same_model)]
    return ", ".join([config["model"], *(f"{key}={config.get(key)}" for key in differing)])
