"""The plan of a comparison: models x data sets x seeds, each combination a run with its own folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from recbole_sda.comparison.planned_evaluation import PlannedEvaluation
from recbole_sda.comparison.planned_run import ModelEntry, PlannedRun, row_references, slug, with_references
from recbole_sda.errors import InputError

Job = Union[PlannedRun, PlannedEvaluation]


@dataclass(frozen=True)
class Plan:
    """A comparison, as :func:`recbole_sda.comparison.read_plan.read_plan` reads it.

    Attributes:
        title: title of the comparison.
        about: what is compared, under which protocol.
        models: the rows of the result table.
        datasets: names of the data sets; each model is run on each.
        seeds: random seeds; each model is run with each.
        keys: configuration keys of all runs.
        dataset_keys: data set -> further keys of the runs on it. They override ``keys``; a model's own keys override both.
        metrics: columns of the result table.
        correction: of the p-values, see :func:`recbole_sda.metrics.significance.correct_p_values`.
        out: folder of the runs and the tables.
        folders: (row, data set, seed) -> folder, of runs that were made elsewhere.
        chosen: names of the rows to run; None: all. The tables have all finished rows, so that the choice of rows makes no
            p-value smaller.
        groups: groups of right items with columns of their own, besides all users.
        also: further evaluation protocol -> evaluation keys that replace those of a run; see :class:`PlannedEvaluation`.
    """

    title: str
    about: str
    models: Tuple[ModelEntry, ...]
    datasets: Tuple[str, ...]
    seeds: Tuple[int, ...]
    keys: Dict[str, Any]
    dataset_keys: Dict[str, Dict[str, Any]]
    metrics: Tuple[str, ...]
    correction: str
    out: Path
    folders: Dict[Tuple[str, str, int], Path] = field(default_factory=dict)
    chosen: Optional[Tuple[str, ...]] = None
    also: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    groups: Tuple[str, ...] = ("tail",)

    def runs(self) -> List[PlannedRun]:
        """Return all runs of the chosen rows, each after the runs that it needs."""
        return [run for run in self._all_runs() if self._is_chosen(run)]

    def other_finished_runs(self) -> List[PlannedRun]:
        """Return the finished runs of the rows that are not chosen; the tables include them."""
        return [run for run in self._all_runs() if not self._is_chosen(run) and run.is_done]

    def evaluations(self, run: PlannedRun) -> List[PlannedEvaluation]:
        """Return the evaluations of a run under each further protocol."""
        return [PlannedEvaluation(run, protocol, keys) for protocol, keys in self.also.items()]

    def jobs(self) -> List[Job]:
        """Return all runs of the chosen rows, each followed by its evaluations under the further protocols."""
        return [job for run in self.runs() for job in self.with_evaluations(run)]

    def with_evaluations(self, run: PlannedRun) -> List[Job]:
        """Return a run and its evaluations under the further protocols."""
        return [run, *self.evaluations(run)]

    def _is_chosen(self, run: PlannedRun) -> bool:
        return self.chosen is None or run.entry.name in self.chosen

    def _all_runs(self) -> List[PlannedRun]:
        runs = [self.run(entry, name, seed) for name in self.datasets for seed in self.seeds for entry in self.models]
        return _in_order_of_needs(runs)

    def run(self, entry: ModelEntry, dataset: str, seed: int) -> PlannedRun:
        """Return the run of an entry on a data set with a seed."""
        keys = {**self.keys, **self.dataset_keys.get(dataset, {}), **entry.keys, "seed": seed}
        for key, value in entry.keys.items():
            if row_references(value):
                keys[key] = with_references(value, lambda part: self._referred(part, dataset, seed))
        return PlannedRun(entry, dataset, seed, self._folder(entry.name, dataset, seed), keys)

    def _referred(self, reference: Dict[str, Any], dataset: str, seed: int) -> str:
        """Return the run folder that a reference means in a run on a data set with a seed."""
        if "seed" in reference:
            if len(self.seeds) < 2:
                raise InputError(f"models: {{row: {reference['row']}, seed: next}} needs a plan with two seeds or more")
            seed = self.seeds[(self.seeds.index(seed) + 1) % len(self.seeds)]
        return str(self._folder(reference["row"], dataset, seed).resolve())

    def _folder(self, name: str, dataset: str, seed: int) -> Path:
        return self.folders.get((name, dataset, seed), self.out / dataset / slug(name) / f"seed{seed}")


def _in_order_of_needs(runs: List[PlannedRun]) -> List[PlannedRun]:
    """Return the runs, each after those that it needs; the order is otherwise kept."""
    by_folder = {str(run.folder.resolve()): run for run in runs}
    ordered: Dict[str, PlannedRun] = {}
    waiting = by_folder
    while waiting:
        n_before = len(ordered)
        for folder, run in waiting.items():
            if all(needed in ordered for needed in run.folders_needed & by_folder.keys()):
                ordered[folder] = run
        if len(ordered) == n_before:
            names = dict.fromkeys(run.entry.name for run in waiting.values())
            raise InputError(f"models: {', '.join(names)} need each other's runs")
        waiting = {folder: run for folder, run in waiting.items() if folder not in ordered}
    return list(ordered.values())
