"""One run of a comparison, and the model entry that it belongs to."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Set

from recbole_sda.config.run_config import MACHINE_KEYS, RunConfig
from recbole_sda.data.interaction_files import input_hashes
from recbole_sda.engine.run import configure, settings_of
from recbole_sda.engine.run_folder import CONFIG, LOG, METRICS, config_text, read_metrics
from recbole_sda.errors import InputError
from recbole_sda.io.yaml import parse_yaml

FOLDER_KEYS = {"runs_path", "run_dir", "checkpoint_dir"}
# Keys that may differ between a finished run and its plan. Hashes of the files show whether the data are the same.
FREE_KEYS = {*MACHINE_KEYS, *FOLDER_KEYS, "data_path", "valid_metric_bigger"}  # the last follows valid_metric


def _place(settings: Dict[str, Any]) -> Path:
    return Path(settings["data_path"]).resolve()


def slug(name: str) -> str:
    """Return a name in the form that folders have: letters, digits, dots, underscores and hyphens."""
    return re.sub(r"[^\w.]+", "-", name).strip("-")


def is_row_reference(value: Any) -> bool:
    """Return whether a key's value is ``{row: NAME}``, the run folder of another row.

    ``{row: NAME, seed: next}`` is that row's run with the next seed of the plan; after the last seed comes the first.
    """
    return isinstance(value, dict) and (
        set(value) == {"row"} or (set(value) == {"row", "seed"} and value["seed"] == "next")
    )


def _listed(value: Any) -> List[Any]:
    return value if isinstance(value, list) else [value]


def row_references(value: Any) -> List[Dict[str, Any]]:
    """Return the references in a key's value: the value itself, or elements of a list."""
    return [part for part in _listed(value) if is_row_reference(part)]


def with_references(value: Any, folder_of: Callable[[Dict[str, Any]], str]) -> Any:
    """Return a key's value with each reference replaced."""
    if isinstance(value, list):
        return [with_references(part, folder_of) for part in value]
    return folder_of(value) if is_row_reference(value) else value


@dataclass(frozen=True)
class ModelEntry:
    """An entry of a plan's ``models``, which is a row of the result table.

    Attributes:
        name: name of the row.
        model: a model of the main command.
        base: name of the row that it is compared with; None: it is compared with no row.
        keys: its own configuration keys. A value ``{row: NAME}``, also in a list, is replaced by the run folder of that row on
            the same data set with the same seed, or, with ``seed: next``, with the next one.
    """

    name: str
    model: str
    base: Optional[str]
    keys: Dict[str, Any]

    @property
    def needs(self) -> List[str]:
        """Names of the rows whose runs must be finished first."""
        return list(dict.fromkeys(part["row"] for value in self.keys.values() for part in row_references(value)))


@dataclass(frozen=True)
class PlannedRun:
    """One run of a comparison.

    Attributes:
        entry: its model entry.
        dataset: name of the data set.
        seed: random seed.
        folder: run folder.
        keys: all configuration keys that the plan sets.
    """

    entry: ModelEntry
    dataset: str
    seed: int
    folder: Path
    keys: Dict[str, Any]

    def __str__(self) -> str:
        return f"{self.entry.name} on {self.dataset}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """The file of the run's log messages."""
        return self.folder / LOG

    @property
    def is_done(self) -> bool:
        """Whether the folder has the result of a finished run."""
        return (self.folder / METRICS).is_file()

    def needs(self, other: Any) -> bool:
        """Return whether ``other`` is a run that must be finished before this one."""
        if not self.folders_needed or not isinstance(other, PlannedRun):
            return False
        return str(other.folder.resolve()) in self.folders_needed

    @cached_property
    def folders_needed(self) -> Set[str]:
        """The run folders that the values of keys refer to."""
        return {
            folder
            for key, value in self.entry.keys.items()
            for part, folder in zip(_listed(value), _listed(self.keys[key]))
            if is_row_reference(part)
        }

    def configuration(self) -> RunConfig:
        """Return the run's configuration; an unknown name or key, or a wrong value, is an InputError that names the row."""
        try:
            return configure(self.entry.model, self.dataset, (), self.keys, source="keys")
        except InputError as error:
            raise type(error)(f"models: {self.entry.name}: {error}") from error

    def check(self) -> None:
        """Check the configuration, and that an existing run in the folder is the planned one.

        Raises:
            InputError: the configuration is wrong, or the folder has a run with other settings, or with other files of
                interactions or feature vectors.
        """
        config = self.configuration()
        if not (self.folder / CONFIG).is_file():
            return
        self._check_settings(config)
        if not self.is_done:
            return
        metrics, now = read_metrics(self.folder, evaluation=True), input_hashes(config)
        if "history" not in metrics["protocol"]:
            raise InputError(
                f"{self.folder}: this run was evaluated before the key mask_history existed, with a user's known items among the "
                "candidates of sequential models; choose another --out, or remove the folder"
            )
        changed = [name for name, sha in metrics.get("inputs", {}).items() if sha != now.get(name)]
        if changed:
            raise InputError(
                f"{self.folder}: {' and '.join(changed)} in {config['data_path']} changed after this run; choose another "
                "--out, or remove the folder"
            )
        earlier = settings_of(self.folder)
        if "inputs" not in metrics and _place(config.resolved) != _place(earlier):
            raise InputError(
                f"{self.folder}: this run was made with data in {earlier['data_path']} and has no hashes of them; choose another "
                "--out, or remove the folder"
            )

    def _check_settings(self, config: RunConfig) -> None:
        planned, existing = parse_yaml(config_text(config.resolved), "settings"), settings_of(self.folder)
        for key in planned.keys() - existing.keys():  # newer than the run, which is the same as with the key's default
            existing[key] = config.internal_config_dict.get(key)
        for values in (planned, existing):
            for key, value in self.entry.keys.items():
                if row_references(value) and values.get(key):  # the folder of the comparison may have been moved
                    values[key] = ["/".join(Path(folder).parts[-3:]) for folder in _listed(values[key])]
        differing = sorted(key for key in {*planned, *existing} - FREE_KEYS if planned.get(key) != existing.get(key))
        if differing:
            changes = ", ".join(f"{key} {existing.get(key)!r} -> {planned.get(key)!r}" for key in differing[:5])
            raise InputError(
                f"{self.folder} was run with other settings ({changes}); choose another --out, or remove the folder"
            )
