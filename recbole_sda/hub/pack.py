"""From a local folder to a package: its files are checked, paths of this machine are taken out, weights become safetensors."""

import json
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Union

import yaml

from recbole_sda.comparison.planned_run import slug
from recbole_sda.comparison.tables import COMPARISON, read_comparison
from recbole_sda.engine.fallback_choice import CHOICE
from recbole_sda.engine.run import settings_of
from recbole_sda.engine.run_folder import CONFIG, METRICS, config_text, read_metrics
from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.hub.package import BEST_REST, BEST_TENSORS, KINDS, Package, kind_of, portable
from recbole_sda.io.checkpoint import BEST, ITEM_IDS, load_checkpoint
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.json import read_json
from recbole_sda.io.regular_file import regular_file
from recbole_sda.io.safe_checkpoint import write_safe_checkpoint
from recbole_sda.io.tensors import open_tensors
from recbole_sda.io.yaml import read_yaml
from recbole_sda.model.model_table import ENSEMBLES
from recbole_sda.tracking.settings import KEYS as TRACKING_KEYS

HISTORY, RECORD, EXPORT = "history.jsonl", "adapt.yaml", "export.json"
BACKBONE = "base_model_name_or_path"  # in the configuration of an adapter
DATA_PATH = "dataset"  # of a pushed run: the default


def pack(folder: Path, scratch: Path, comparison: Optional[Path] = None) -> Package:
    """Return the package of a folder.

    Args:
        folder: a feature store, the folder of an adaptation or of an exported adapter, or a run folder.
        scratch: folder for files that are made for the package; they are needed until it is pushed.
        comparison: folder of a comparison that the run belongs to; None: the one that its folder is in, if any.

    Raises:
        InputError: the folder is none of these, unfinished or damaged, or the run is an ensemble.
    """
    kind = kind_of(folder)
    if comparison is not None and kind.name != "run":
        raise InputError(f"--comparison: {folder} is no run")
    if kind.name == "run":
        return _pack_run(folder, scratch, comparison)
    makers: Dict[str, Callable[[Path], Package]] = {"features": _pack_features, "adapter": _pack_adapter}
    return makers[kind.name](folder)


def _pack_features(folder: Path) -> Package:
    store = FeatureStore(folder)  # checks the hashes
    manifest = portable(store.manifest)
    files: Dict[str, Union[Path, bytes]] = {name: folder / name for name in KINDS["features"].needed}
    files["manifest.json"] = _json(manifest)
    return Package(KINDS["features"], files, {"manifest": manifest, "items": len(store.item_ids)})


def _pack_adapter(folder: Path) -> Package:
    inside = "adapter/" if (folder / "adapter").is_dir() else ""
    names = [f"{inside}{part}adapter_config.json" for part in ("", "image/", "text/")]
    configs = [name for name in names if (folder / name).is_file()]
    if not configs:
        raise InputError(f"hub push {folder}: it has no adapter yet (adapter_config.json)")
    files: Dict[str, Union[Path, bytes]] = {}
    for name in configs:
        weights = name.replace("adapter_config.json", "adapter_model.safetensors")
        open_tensors(folder / weights)  # an InputError where it is missing or no safetensors file
        files[name], files[weights] = _json(_adapter_config(folder / name)), folder / weights
    facts: Dict[str, Any] = {"config": _adapter_config(folder / configs[0]), "record": {}}
    if (folder / RECORD).is_file():
        record = read_yaml(folder / RECORD)
        _check_adapter_hash(folder, record, files)
        facts["record"] = portable(record)
        files[RECORD] = yaml.safe_dump(facts["record"], sort_keys=False, allow_unicode=True).encode()
    for name in (HISTORY, EXPORT):
        if (folder / name).is_file():
            files[name] = regular_file(folder / name)
    return Package(KINDS["adapter"], files, facts)


def _adapter_config(path: Path) -> Dict[str, Any]:
    """Return the configuration of an adapter; a local backbone is left out, or PEFT would ask the Hub for its name."""
    config: Dict[str, Any] = read_json(path)
    if portable(config.get(BACKBONE)) != config.get(BACKBONE):
        config[BACKBONE] = None
    return dict(portable(config))


def _check_adapter_hash(folder: Path, record: Dict[str, Any], files: Dict[str, Any]) -> None:
    """Refuse weights that are not those of the adaptation's record."""
    noted = (record.get("adapter") or {}).get("sha256")
    found = " ".join(sha256_of(path) for name, path in files.items() if name.endswith(".safetensors"))
    if noted is not None and noted != found:
        raise InputError(
            f"{folder}: the adapter was changed after {RECORD} was written, or the adaptation has not ended"
        )


def _pack_run(folder: Path, scratch: Path, comparison: Optional[Path]) -> Package:
    settings = settings_of(folder)
    if settings["model"] in ENSEMBLES:
        raise InputError(f"hub push {folder}: an ensemble reads the folders of its members; push these instead")
    if not (folder / METRICS).is_file():
        raise InputError(f"hub push {folder}: the run is not finished ({METRICS} is missing); --resume={folder}")
    metrics = read_metrics(folder)
    tensors, rest = scratch / Path(BEST_TENSORS).name, scratch / Path(BEST_REST).name
    write_safe_checkpoint(load_checkpoint(folder / BEST), tensors, rest)
    place = settings["data_path"] if not Path(settings["data_path"]).is_absolute() else DATA_PATH
    config = {
        **settings,
        "data_path": place,
        **{key: type(settings[key])() for key in TRACKING_KEYS if key in settings},
    }
    metrics = portable({key: value for key, value in metrics.items() if key != "run_dir"})
    files: Dict[str, Union[Path, bytes]] = {
        CONFIG: config_text(portable(config)).encode(),
        METRICS: _json(metrics),
        str(ITEM_IDS): regular_file(folder / ITEM_IDS),
        BEST_TENSORS: tensors,
        BEST_REST: rest,
    }
    for name in (HISTORY, CHOICE):
        if (folder / name).is_file():
            files[name] = regular_file(folder / name)
    facts = {"metrics": metrics, "settings": portable(config), "comparison": _row(folder, comparison)}
    return Package(KINDS["run"], files, facts)


def _row(folder: Path, given: Optional[Path]) -> Optional[Dict[str, Any]]:
    """Return what a comparison found out about a run: its row, and what the tests of the comparison are.

    Raises:
        InputError: a comparison was given that does not have the run.
    """
    parents = folder.resolve().parents
    place = given or (parents[2] if len(parents) > 2 else None)
    if place is None or not (place / COMPARISON).is_file():
        if given is not None:
            raise InputError(f"--comparison={given}: {COMPARISON} is missing")
        return None
    comparison = read_comparison(place / COMPARISON)
    for row in comparison["rows"]:
        ours = (row["dataset"], slug(row["row"]))
        if ours == (folder.resolve().parents[1].name, folder.resolve().parent.name):
            return {**row, "correction": comparison["correction"], "comparisons": comparison["comparisons"]}
    if given is not None:
        raise InputError(f"--comparison={given}: it has no row of the run {folder}")
    return None


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
