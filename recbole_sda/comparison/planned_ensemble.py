"""Which ensemble a row of a plan is: of general models alone, or with a sequential model among its members."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Mapping, Sequence, Set

from recbole_sda.comparison.planned_run import ModelEntry, is_row_reference
from recbole_sda.engine.run import settings_of
from recbole_sda.engine.run_folder import CONFIG
from recbole_sda.model.model_table import ENSEMBLES
from recbole_sda.model.registry import ensemble_of


def with_kind_of_ensemble(entries: Mapping[str, ModelEntry]) -> Dict[str, ModelEntry]:
    """Return the rows of a plan, with the model of each ensemble replaced by the one that its members need."""
    return {name: replace(entry, model=_model(entry, entries)) for name, entry in entries.items()}


def _model(entry: ModelEntry, entries: Mapping[str, ModelEntry]) -> str:
    members = entry.keys.get("members")
    if entry.model not in ENSEMBLES or not isinstance(members, list):
        return entry.model  # a wrong value is reported by the configuration
    models = _models_of(members, entries, set())
    return ensemble_of(models) if models else entry.model


def _models_of(members: Sequence[Any], entries: Mapping[str, ModelEntry], seen: Set[str]) -> Set[str]:
    """Return the models of members that are known before any run; those of an ensemble are its members' models."""
    models: Set[str] = set()
    for member in members:
        if is_row_reference(member):
            name = member["row"]
            entry = entries[name]
            if entry.model not in ENSEMBLES:
                models.add(entry.model)
            elif name not in seen:
                models |= _models_of(entry.keys.get("members") or (), entries, seen | {name})
        elif isinstance(member, str) and (Path(member) / CONFIG).is_file():
            models.add(settings_of(Path(member))["model"])
    return models
