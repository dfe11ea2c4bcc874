"""The plan of a comparison: models x data sets x seeds from one YAML file, each cell with the folder of its run."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import yaml

from recbole_sda.comparison.user_metrics import cutoffs
from recbole_sda.config.run_config import MACHINE_KEYS, RunConfig
from recbole_sda.data.datasets import inputs_of
from recbole_sda.engine.run import configure
from recbole_sda.engine.run_folder import CONFIG, METRICS, config_text, read_metrics
from recbole_sda.errors import InputError, nearest
from recbole_sda.io.yaml import read_yaml
from recbole_sda.metrics.significance import CORRECTIONS
from recbole_sda.validation import file_or_properties_file

FOLDER = "experiments"
KEYS = ("title", "about", "datasets", "seeds", "keys", "dataset_keys", "models", "metrics", "correction")
ROW_KEYS = ("model", "base", "keys")
FOLDER_KEYS = {"runs_path", "run_dir", "checkpoint_dir"}
# What may differ between a run and the plan that finds it done.
FREE_KEYS = {*MACHINE_KEYS, *FOLDER_KEYS}
# What the plan itself gives to each run.
OWN_KEYS = {"seed": "seeds", "dataset": "datasets", "model": "models"}


def _names_a_row(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"row"}


@dataclass(frozen=True)
class ModelEntry:
    """A line of the table.

    Attributes:
        name: what the table calls it.
        model: a model of the main command.
        base: name of the row that it is compared with; None for a row that is a base itself.
        keys: what sets it apart. A value ``{row: NAME}`` stands for the run folder of that row, same data set and seed.
    """

    name: str
    model: str
    base: Optional[str]
    keys: Dict[str, Any]

    @property
    def needs(self) -> List[str]:
        """Names of the rows whose runs come first."""
        return [value["row"] for value in self.keys.values() if _names_a_row(value)]


@dataclass(frozen=True)
class PlannedRun:
    """One run of the comparison."""

    row: ModelEntry
    dataset: str
    seed: int
    folder: Path
    keys: Dict[str, Any]

    def __str__(self) -> str:
        return f"{self.row.name} on {self.dataset}, seed {self.seed}"

    @property
    def is_done(self) -> bool:
        """Whether the folder holds the result."""
        return (self.folder / METRICS).is_file()

    def configuration(self) -> RunConfig:
        """Return the run's configuration; wrong names, keys and values are InputErrors that name the row."""
        try:
            return configure(self.row.model, self.dataset, (), self.keys, source="keys")
        except InputError as error:
            raise InputError(f"models: {self.row.name}: {error}") from error

    def check(self) -> None:
        """Build the configuration; refuse a folder whose run had another one, or other files of interactions or vectors."""
        config = self.configuration()
        if not (self.folder / CONFIG).is_file():
            return
        planned, made = yaml.safe_load(config_text(config.resolved)), read_yaml(self.folder / CONFIG)
        for key in planned.keys() - made.keys():  # came after the run, which is what it is with the default
            made[key] = config.internal_config_dict.get(key)
        for values in (planned, made):
            values["data_path"] = str(Path(values["data_path"]).resolve())
            for key, value in self.row.keys.items():
                if _names_a_row(value) and values.get(key):  # the folder of all may have been moved
                    values[key] = "/".join(Path(values[key]).parts[-3:])
        differing = sorted(key for key in {*planned, *made} - FREE_KEYS if planned.get(key) != made.get(key))
        if differing:
            changes = ", ".join(f"{key} {made.get(key)!r} -> {planned.get(key)!r}" for key in differing[:5])
            raise InputError(
                f"{self.folder} was run with other settings ({changes}); choose another --out, or remove the folder"
            )
        if not self.is_done:
            return
        now = inputs_of(config)
        changed = [what for what, sha in read_metrics(self.folder).get("inputs", {}).items() if sha != now.get(what)]
        if changed:
            raise InputError(
                f"{self.folder} was run on other {' and '.join(changed)} than {config['data_path']} has now; choose another "
                "--out, or remove the folder"
            )


@dataclass(frozen=True)
class Plan:
    """What one file of properties/experiments/ says.

    Attributes:
        title, about: what is compared, under which protocol.
        rows: lines of the table.
        datasets, seeds: every row is run on each of them.
        keys: of all runs; ``dataset_keys`` of those on one data set, which win over them; a row's own win over both.
        metrics: columns of the table.
        correction: of the p-values, see :func:`recbole_sda.metrics.significance.corrected`.
        out: folder of the runs and the table.
        folders: (row, data set, seed) -> folder, of runs that were made elsewhere.
        chosen: names of the rows to run; None: all. The table has all rows, so that a choice of them changes no p-value.
    """

    title: str
    about: str
    rows: Tuple[ModelEntry, ...]
    datasets: Tuple[str, ...]
    seeds: Tuple[int, ...]
    keys: Dict[str, Any]
    dataset_keys: Dict[str, Dict[str, Any]]
    metrics: Tuple[str, ...]
    correction: str
    out: Path
    folders: Dict[Tuple[str, str, int], Path] = field(default_factory=dict)
    chosen: Optional[Tuple[str, ...]] = None

    def cells(self) -> List[PlannedRun]:
        """Return all runs of the chosen rows, in an order in which each comes after those that it needs."""
        return [cell for cell in self._all() if self._is_chosen(cell)]

    def done_besides(self) -> List[PlannedRun]:
        """Return the finished runs of the rows that are not chosen, which the table shows as well."""
        return [cell for cell in self._all() if not self._is_chosen(cell) and cell.is_done]

    def _is_chosen(self, cell: PlannedRun) -> bool:
        return self.chosen is None or cell.row.name in self.chosen

    def _all(self) -> List[PlannedRun]:
        order = _ordered(self.rows)
        return [self.cell(row, dataset, seed) for dataset in self.datasets for seed in self.seeds for row in order]

    def cell(self, row: ModelEntry, dataset: str, seed: int) -> PlannedRun:
        """Return one run."""
        keys = {**self.keys, **self.dataset_keys.get(dataset, {}), **row.keys, "seed": seed}
        for key, value in row.keys.items():
            if _names_a_row(value):
                keys[key] = str(self._folder(value["row"], dataset, seed).resolve())
        return PlannedRun(row, dataset, seed, self._folder(row.name, dataset, seed), keys)

    def _folder(self, row: str, dataset: str, seed: int) -> Path:
        return self.folders.get((row, dataset, seed), self.out / dataset / slug(row) / f"seed{seed}")


def slug(name: str) -> str:
    """Return a name as a folder is named."""
    return re.sub(r"[^\w.]+", "-", name).strip("-")


def find_plan(name: str) -> Path:
    """Return the file of a plan: a path, or the name of a file in properties/experiments/."""
    return file_or_properties_file("plan", name, FOLDER)


def read_plan(path, out, changes: Optional[Dict[str, Any]] = None) -> Plan:
    """Read a plan.

    Args:
        path: the YAML file.
        out: folder of the runs.
        changes: ``datasets``, ``seeds`` or ``metrics`` instead of the file's; ``models``, names of its rows, to which
            those that they are compared with or need come by themselves; any other key is one of all runs, which wins over
            the file's ``keys`` and ``dataset_keys``, not over a row's own.

    Raises:
        InputError: something in the file is missing, unknown or does not fit.
    """
    values = read_yaml(path)
    given = dict(changes or {})
    for key in ("datasets", "seeds", "metrics"):
        if key in given:
            values[key] = given.pop(key)
    chosen = given.pop("models", None)
    for key in values:
        if key not in KEYS:
            raise InputError(f"{path}: unknown key {key!r}; allowed are {', '.join(KEYS)}.{nearest(key, KEYS)}")
    for key in ("datasets", "seeds", "models"):
        if values.get(key) in (None, [], {}, ""):
            raise InputError(f"{path}: {key} is missing or empty")
    keys, dataset_keys = (_mapping(path, key, values.get(key)) for key in ("keys", "dataset_keys"))
    dataset_keys = {name: _mapping(path, f"dataset_keys: {name}", of) for name, of in dataset_keys.items()}
    for source in (given, keys, *dataset_keys.values()):
        _refuse_own_keys(path, source)
    datasets, seeds = _names(path, "datasets", values["datasets"]), _seeds(path, values["seeds"])
    correction = values.get("correction", "holm")
    if not isinstance(correction, str) or correction not in CORRECTIONS:
        raise InputError(f"{path}: correction={correction!r}: allowed are {', '.join(CORRECTIONS)}")
    metrics = _names(path, "metrics", values.get("metrics", ["hit@10", "ndcg@10"]))
    cutoffs(metrics)  # a wrong name is reported before the first run
    for name in dataset_keys:
        if name not in datasets and "datasets" not in (changes or {}):
            raise InputError(f"{path}: dataset_keys: {name!r} is not in datasets.{nearest(name, datasets)}")
    rows = _rows(path, values["models"])
    return Plan(
        title=str(values.get("title") or Path(path).stem),
        about=" ".join(str(values.get("about") or "").split()),
        rows=rows,
        chosen=None if chosen is None else _chosen(rows, _names(path, "models", chosen)),
        datasets=datasets,
        seeds=seeds,
        keys={**keys, **given},
        dataset_keys={name: {k: v for k, v in of.items() if k not in given} for name, of in dataset_keys.items()},
        metrics=metrics,
        correction=correction,
        out=Path(out),
    )


def _mapping(path, what: str, value: Any) -> Dict[str, Any]:
    if not isinstance(value or {}, dict):
        raise InputError(f"{path}: {what}: expected `key: value`, found {value!r}")
    return value or {}


def _refuse_own_keys(path, keys: Dict[str, Any]) -> None:
    for key in keys or {}:
        if key in OWN_KEYS:
            raise InputError(f"{path}: {key} is set by the plan for each run; give {OWN_KEYS[key]} instead")
        if key in FOLDER_KEYS:
            raise InputError(f"{path}: {key} is set by the plan for each run; give --out instead")


def _names(path, key: str, value: Any) -> Tuple[str, ...]:
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise InputError(f"{path}: {key}={value!r}: expected a list of names")
    return tuple(dict.fromkeys(value))


def _seeds(path, value: Any) -> Tuple[int, ...]:
    value = [value] if isinstance(value, int) else value
    if not isinstance(value, list) or not all(isinstance(seed, int) and seed >= 0 for seed in value):
        raise InputError(f"{path}: seeds={value!r}: expected a list of whole numbers of at least 0")
    return tuple(dict.fromkeys(value))


def _rows(path, models: Any) -> Tuple[ModelEntry, ...]:
    if not isinstance(models, dict):
        raise InputError(f"{path}: models: expected `name: {{model: ..., base: ..., keys: {{...}}}}`")
    rows = {}
    for name, row in models.items():
        row = {} if row is None else row
        if not isinstance(row, dict) or set(row) - set(ROW_KEYS):
            unknown = ", ".join(sorted(set(row) - set(ROW_KEYS))) if isinstance(row, dict) else repr(row)
            raise InputError(
                f"{path}: models: {name}: {unknown} is not allowed here; allowed are {', '.join(ROW_KEYS)}"
            )
        keys = _mapping(path, f"models: {name}: keys", row.get("keys"))
        _refuse_own_keys(path, keys)
        named = {"model": row.get("model", str(name)), "base": row.get("base")}
        named |= {f"keys: {key}": value["row"] for key, value in keys.items() if _names_a_row(value)}
        for what, value in named.items():
            if not isinstance(value, str) and (what != "base" or value is not None):
                raise InputError(f"{path}: models: {name}: {what}: expected a name, found {value!r}")
        rows[str(name)] = ModelEntry(str(name), named["model"], named["base"], dict(keys))
    for row in rows.values():
        for other in [*row.needs, *([row.base] if row.base else [])]:
            if other == row.name:
                raise InputError(f"{path}: models: {row.name}: a row cannot be its own base, nor need its own run")
            if other not in rows:
                raise InputError(f"{path}: models: {row.name}: there is no row {other!r}.{nearest(other, rows)}")
    _check_slugs(path, rows)
    return tuple(rows.values())


def _chosen(rows: Sequence[ModelEntry], names: Sequence[str]) -> Tuple[str, ...]:
    """Return the names of these rows and of those that they lead to, in the order of the file."""
    by_name = {row.name: row for row in rows}
    wanted = list(names)
    for name in wanted:
        if name not in by_name:
            several = all(part in by_name for part in name.split(","))
            hint = f" Several are written --models=[{name}]." if several else nearest(name, by_name)
            raise InputError(f"--models: there is no row {name!r}; there are {', '.join(map(repr, by_name))}.{hint}")
        row = by_name[name]
        wanted += [other for other in (row.base, *row.needs) if other and other not in wanted]
    return tuple(row.name for row in rows if row.name in wanted)


def _check_slugs(path, rows: Sequence[str]) -> None:
    taken: Dict[str, str] = {}
    for name in rows:
        if slug(name).lower() in taken:
            raise InputError(f"{path}: models: {name!r} and {taken[slug(name).lower()]!r} would share a folder")
        taken[slug(name).lower()] = name


def _ordered(rows: Sequence[ModelEntry]) -> List[ModelEntry]:
    """Return the rows, those that others need first."""
    found: List[ModelEntry] = []
    waiting = list(rows)
    while waiting:
        ready = [row for row in waiting if all(any(done.name == name for done in found) for name in row.needs)]
        if not ready:
            raise InputError("models: " + ", ".join(row.name for row in waiting) + " need each other's runs")
        found += ready
        waiting = [row for row in waiting if row not in ready]
    return found
