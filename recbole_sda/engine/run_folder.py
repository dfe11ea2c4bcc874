"""Files of a run folder: creating the folder, its resolved configuration and its metrics."""

import json
import time
from pathlib import Path
from typing import Any, Dict, Mapping

import yaml

from recbole_sda import __version__
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import write_text
from recbole_sda.io.json import plain_numbers, read_json
from recbole_sda.io.schema import COUNT, NUMBER
from recbole_sda.model.registry import class_name

CONFIG, METRICS, LOG, LOCK = "config.yaml", "metrics.json", "run.log", ".lock"
MAX_RUNS_PER_SECOND = 99
METRIC = (int, float, None)  # None: it is not defined for these cases, as AUC where all labels are the same
GROUPS = {str: {str: METRIC}}  # name of a group -> metrics
SPREAD = {str: {"coverage": NUMBER, "gini": NUMBER, "average_popularity": NUMBER}}
PROTOCOL = {
    "loss": str,
    "split": str,
    "evaluation": {"test": str},
    "history?": (None, {"test": str}),
    "items": COUNT,
    "selection": str,
}
METRICS_SHAPE = {
    "model": str,
    "dataset": str,
    "protocol": PROTOCOL,
    "valid?": (None, {str: METRIC}),
    "test": {str: METRIC},
    "groups": {str: {"items?": GROUPS, "users?": GROUPS, "limits?": dict, "spread?": SPREAD}},
    "lists?": {"valid?": {str: METRIC}, "test?": {str: METRIC}, "sources?": {str: str}},
    "energy?": dict,
    "seconds?": {"training": NUMBER},
    "environment": {str: str},
    "inputs?": {str: str},
    "features?": (dict, None),
    "fallback?": dict,
    "best_epoch": int,
    "epochs_run": COUNT,
    "warnings?": [str],
    "parameters": COUNT,
}
CONFIG_SHAPE = {
    "model": str,
    "dataset": str,
    "data_path": str,
    "seed?": COUNT,
    "epochs?": COUNT,
    "MAX_ITEM_LIST_LENGTH?": (COUNT, None),
}


def make_run_dir(config: Any) -> Path:
    """Create the folder of a new run: ``run_dir``, or a new folder in ``runs_path`` named after model, data set, seed and time.

    Raises:
        InputError: ``run_dir`` is a file or has a content, or neither key names a folder.
    """
    if config["run_dir"]:
        path = Path(config["run_dir"])
        if path.exists() and not path.is_dir():
            raise InputError(f"run_dir={path} is a file; expected a folder")
        if path.exists() and not has_no_run(path):
            raise InputError(f"run_dir={path} exists already; resume it with --resume={path}, or choose another one")
        path.mkdir(parents=True, exist_ok=True)
        return path
    if not config["runs_path"]:
        raise InputError(f"runs_path={config['runs_path']!r}: expected a folder")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = f"{class_name(config['model'])}-{config['dataset']}-seed{config['seed']}-{stamp}"
    for suffix in ["", *(f"-{k}" for k in range(2, MAX_RUNS_PER_SECOND + 1))]:
        path = Path(config["runs_path"]) / (name + suffix)
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            continue
    raise InputError(
        f"runs_path={config['runs_path']}: {name} and {MAX_RUNS_PER_SECOND - 1} more folders of this second exist; "
        "give each run a run_dir"
    )


def has_no_run(folder: Path) -> bool:
    """Return whether a folder holds nothing but what a run leaves that was killed before its configuration was written."""
    drafts = f".{CONFIG}."
    return all(path.name in (LOCK, LOG) or path.name.startswith(drafts) for path in folder.iterdir())


def config_text(resolved: Mapping[str, Any]) -> str:
    """Return a resolved configuration as YAML, without ``run_dir``."""
    values = {k: v for k, v in resolved.items() if k != "run_dir"}
    return yaml.safe_dump(values, sort_keys=True, allow_unicode=True, default_flow_style=None)


def write_config(run_dir: Path, resolved: Mapping[str, Any]) -> None:
    """Write the resolved configuration atomically, as a file that ``--config_files`` reads."""
    write_text(run_dir / CONFIG, config_text(resolved))


def write_metrics(run_dir: Path, content: Dict[str, Any], name: str = METRICS) -> None:
    """Write results and the version of this package as JSON, atomically; metrics that are NaN become null."""
    values = plain_numbers({"recbole_sda": __version__, **content})
    text = json.dumps(values, indent=2, default=str, allow_nan=False)
    write_text(run_dir / name, text + "\n")


def with_current_names(result: Dict[str, Any]) -> Dict[str, Any]:
    """Rename, in place, the groups of a result that an earlier version wrote: ``fifth 1`` is ``quintile 1`` now."""
    for groups in (result.get("groups") or {}).values():
        for kind in ("items", "users"):
            if kind in groups:
                named = {name.replace("fifth ", "quintile "): metrics for name, metrics in groups[kind].items()}
                groups[kind] = named
    return result


def read_metrics(run_dir: Path, evaluation: bool = False) -> Dict[str, Any]:
    """Return the content of a finished run's ``metrics.json``.

    Args:
        run_dir: the run folder, or the folder of an evaluation.
        evaluation: whether it is that of an evaluation, which has no times.

    Raises:
        InputError: the file is damaged, or has an entry of another type.
    """
    remedy = f"remove it, and --resume={run_dir}, or the same comparison, writes it again"
    shape = {name: part for name, part in METRICS_SHAPE.items() if name != "seconds" or not evaluation}
    return with_current_names(read_json(run_dir / METRICS, shape, remedy))
