"""Reading and checking plans of comparisons: YAML files, files of properties/experiments/, or dicts of the same keys."""

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from recbole_sda.comparison.plan import Plan
from recbole_sda.comparison.planned_ensemble import with_kind_of_ensemble
from recbole_sda.comparison.planned_evaluation import PROTOCOL_KEYS
from recbole_sda.comparison.planned_run import FOLDER_KEYS, ModelEntry, row_references, slug
from recbole_sda.comparison.user_metrics import GROUPS, SCOPES, cutoffs
from recbole_sda.errors import InputError, nearest
from recbole_sda.io.names import safe_name
from recbole_sda.io.yaml import read_yaml
from recbole_sda.metrics.significance import CORRECTIONS
from recbole_sda.model.named_models import check_named
from recbole_sda.validation import Range, check_choice, file_or_properties_file

FOLDER = "experiments"  # in properties/
OUT = Path("runs/compare")
SEEDS = Range(0, 2**32)  # numpy's
KEYS = (
    "title", "about", "datasets", "seeds", "keys", "dataset_keys", "models", "metrics", "groups", "correction", "also",
)  # fmt: skip
ENTRY_KEYS = ("model", "base", "keys")
# Configuration keys that the plan sets for each run -> the key of the plan to use instead.
SET_BY_PLAN = {"seed": "seeds", "dataset": "datasets", "model": "models"}

PlanSource = Union[str, Path, Mapping[str, Any]]


def read_plan(
    plan: PlanSource, out: Union[str, Path, None] = None, overrides: Optional[Mapping[str, Any]] = None
) -> Plan:
    """Read a plan and check it.

    Args:
        plan: a YAML file, the name of a file in properties/experiments/, or a dict of the same keys.
        out: folder of the runs and the tables; None: ``runs/compare/<name of the file, or title of the dict>``.
        overrides: ``datasets``, ``seeds``, ``metrics``, ``groups`` or ``also`` replace those of the plan. ``models`` names the rows
            to run; their bases and the rows that they need are added. Any other key is a configuration key of all runs; it
            overrides the plan's ``keys`` and ``dataset_keys``, but not a row's own keys.

    Raises:
        InputError: a key is missing or unknown, or has a value that is not allowed.
    """
    if isinstance(plan, Mapping):
        source, values = "plan", dict(plan)
        name = slug(str(values.get("title") or "")).strip(".")[:100] or "plan"
    else:
        path = file_or_properties_file("plan", str(plan), FOLDER)
        source, values, name = str(path), read_yaml(path), path.stem
        for row, given in _mapping(source, "models", values.get("models")).items():
            check_named(given.get("model", row) if isinstance(given, dict) else row, source)
    return _plan(source, values, name, OUT / name if out is None else Path(out), dict(overrides or {}))


def _plan(source: str, values: Dict[str, Any], name: str, out: Path, overrides: Dict[str, Any]) -> Plan:
    dataset_keys_may_go_unused = "datasets" in overrides
    for key in ("datasets", "seeds", "metrics", "groups", "also"):
        if key in overrides:
            values[key] = overrides.pop(key)
    chosen = overrides.pop("models", None)
    _check_plan_keys(source, values)
    keys = _mapping(source, "keys", values.get("keys"))
    dataset_keys = {
        dataset: _mapping(source, f"dataset_keys: {dataset}", keys_of)
        for dataset, keys_of in _mapping(source, "dataset_keys", values.get("dataset_keys")).items()
    }
    for given in (overrides, keys, *dataset_keys.values()):
        _refuse_keys_set_by_plan(source, given)
    datasets = _names(source, "datasets", values["datasets"])
    metrics = _names(source, "metrics", values.get("metrics", ["hit@10", "ndcg@10"]))
    for dataset in datasets:
        safe_name(f"{source}: datasets", dataset)
    try:
        cutoffs(metrics)  # reports a wrong name before the first run
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    for dataset in dataset_keys:
        if dataset not in datasets and not dataset_keys_may_go_unused:
            raise InputError(f"{source}: dataset_keys: {dataset!r} is not in datasets.{nearest(dataset, datasets)}")
    entries = _model_entries(source, values["models"])
    return Plan(
        title=str(values.get("title") or name),
        about=" ".join(str(values.get("about") or "").split()),
        models=entries,
        chosen=None if chosen is None else _chosen(entries, _names(source, "models", chosen)),
        datasets=datasets,
        seeds=_seeds(source, values["seeds"]),
        keys={**keys, **overrides},
        dataset_keys={
            dataset: {key: value for key, value in keys_of.items() if key not in overrides}
            for dataset, keys_of in dataset_keys.items()
        },
        metrics=metrics,
        correction=check_choice(f"{source}: correction", values.get("correction", "holm"), list(CORRECTIONS)),
        out=out,
        also=_further_protocols(source, values.get("also")),
        groups=_groups(source, values.get("groups", ["tail"])),
    )


def _check_plan_keys(source: str, values: Dict[str, Any]) -> None:
    for key in values:
        if key not in KEYS:
            raise InputError(f"{source}: unknown key {key!r}; allowed are {', '.join(KEYS)}.{nearest(key, KEYS)}")
    for key in ("datasets", "seeds", "models"):
        if values.get(key) in (None, [], {}, ""):
            raise InputError(f"{source}: {key} is missing or empty")


def _mapping(source: str, key: str, value: Any) -> Dict[str, Any]:
    if not isinstance(value or {}, dict):
        raise InputError(f"{source}: {key}: expected `key: value`, found {value!r}")
    return value or {}


def _groups(source: str, value: Any) -> Tuple[str, ...]:
    """Return the groups of items with columns of their own; an empty list is allowed."""
    names = () if value == [] else _names(source, "groups", value)
    for name in names:
        check_choice(f"{source}: groups", name, list(GROUPS))
    return names


def _further_protocols(source: str, value: Any) -> Dict[str, Dict[str, Any]]:
    protocols = {str(name): keys for name, keys in _mapping(source, "also", value).items()}
    for name, given in protocols.items():
        place = f"also: {name}"
        if name in SCOPES:
            raise InputError(f"{source}: {place}: {', '.join(SCOPES)} are names of columns; choose another name")
        if not _mapping(source, place, given):
            raise InputError(f"{source}: {place}: expected keys of the evaluation, as eval_args: {{mode: uni100}}")
        for key in given:
            if key not in PROTOCOL_KEYS:
                raise InputError(
                    f"{source}: {place}: {key!r} is not a key of the evaluation of a finished run; allowed are "
                    f"{', '.join(sorted(PROTOCOL_KEYS))}.{nearest(str(key), PROTOCOL_KEYS)}"
                )
        _mapping(source, f"{place}: eval_args", given.get("eval_args"))
    _refuse_shared_folders(source, "also", list(protocols))
    return protocols


def _refuse_keys_set_by_plan(source: str, keys: Mapping[str, Any]) -> None:
    for key in keys:
        if key in SET_BY_PLAN or key in FOLDER_KEYS:
            instead = SET_BY_PLAN.get(key, "--out")
            raise InputError(f"{source}: {key} is set by the plan for each run; give {instead} instead")


def _names(source: str, key: str, value: Any) -> Tuple[str, ...]:
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(name, str) for name in value):
        raise InputError(f"{source}: {key}={value!r}: expected a list of names")
    return tuple(dict.fromkeys(value))


def _seeds(source: str, value: Any) -> Tuple[int, ...]:
    value = [value] if isinstance(value, int) else value
    if not isinstance(value, (list, tuple)) or not all(type(seed) is int and seed in SEEDS for seed in value):
        raise InputError(f"{source}: seeds={value!r}: expected a list of whole numbers of at least 0 and below 2^32")
    return tuple(dict.fromkeys(value))


def _model_entries(source: str, models: Any) -> Tuple[ModelEntry, ...]:
    if not isinstance(models, dict):
        raise InputError(f"{source}: models: expected `name: {{model: ..., base: ..., keys: {{...}}}}`")
    entries = {
        str(name): _model_entry(source, str(name), {} if given is None else given) for name, given in models.items()
    }
    for entry in entries.values():
        for other in [*entry.needs, *([entry.base] if entry.base else [])]:
            if other == entry.name:
                raise InputError(
                    f"{source}: models: {entry.name}: a row can neither be its own base nor need its own run"
                )
            if other not in entries:
                raise InputError(f"{source}: models: {entry.name}: there is no row {other!r}.{nearest(other, entries)}")
    _refuse_shared_folders(source, "models", list(entries))
    return tuple(with_kind_of_ensemble(entries).values())


def _model_entry(source: str, name: str, given: Any) -> ModelEntry:
    if not isinstance(given, dict) or set(given) - set(ENTRY_KEYS):
        unknown = ", ".join(sorted(set(given) - set(ENTRY_KEYS))) if isinstance(given, dict) else repr(given)
        raise InputError(
            f"{source}: models: {name}: {unknown} is not allowed here; allowed are {', '.join(ENTRY_KEYS)}"
        )
    keys = _mapping(source, f"models: {name}: keys", given.get("keys"))
    _refuse_keys_set_by_plan(source, keys)
    model, base = given.get("model", name), given.get("base")
    names = {"model": model, **({} if base is None else {"base": base})}
    names |= {f"keys: {key}": part["row"] for key, value in keys.items() for part in row_references(value)}
    for key, value in names.items():
        if not isinstance(value, str):
            raise InputError(f"{source}: models: {name}: {key}: expected a name, found {value!r}")
    return ModelEntry(name, model, base, dict(keys))


def _chosen(entries: Sequence[ModelEntry], names: Sequence[str]) -> Tuple[str, ...]:
    """Return these names and those of their bases and of the rows that they need, in the order of the plan."""
    by_name = {entry.name: entry for entry in entries}
    wanted: List[str] = list(names)
    for name in wanted:
        if name not in by_name:
            several = all(part in by_name for part in name.split(","))
            hint = f" Several are written --models=[{name}]." if several else nearest(name, by_name)
            with_comma = next((row for row in by_name if "," in row), None)
            if with_comma:
                hint += f""" Names with commas are quoted: --models='["{with_comma}"]'."""
            raise InputError(f"--models: there is no row {name!r}; there are {', '.join(map(repr, by_name))}.{hint}")
        entry = by_name[name]
        wanted += [other for other in (entry.base, *entry.needs) if other and other not in wanted]
    return tuple(entry.name for entry in entries if entry.name in wanted)


def _refuse_shared_folders(source: str, key: str, names: Sequence[str]) -> None:
    """Refuse names without a folder of their own: two with the same one, or a name that no folder can have."""
    taken: Dict[str, str] = {}
    for name in names:
        folder = slug(name).lower()  # some file systems ignore case
        if not folder.strip("."):
            raise InputError(f"{source}: {key}: {name!r}: expected a name with a letter or a digit")
        safe_name(f"{source}: {key}", folder)
        if folder in taken:
            raise InputError(f"{source}: {key}: {name!r} and {taken[folder]!r} would share a folder")
        taken[folder] = name
