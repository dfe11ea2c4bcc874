"""Presets: named settings in properties/preset/, either keys of *_SDA models or settings by data set and base model."""

from pathlib import Path
from typing import Any, Dict, List, NamedTuple

from recbole_sda.errors import InputError
from recbole_sda.io.yaml import read_yaml
from recbole_sda.model.model_table import SUFFIX
from recbole_sda.model.registry import base_name
from recbole_sda.validation import properties_file

FOLDER = "preset"  # in properties/
BY_DATASET = "by_dataset"  # the one top key of a preset by data set: data set -> model -> keys


class Section(NamedTuple):
    """The keys that a preset by data set has for one model.

    Attributes:
        model: the base model, or its SDA version.
        source: file and section, for messages.
        keys: the keys with their values.
    """

    model: str
    source: str
    keys: Dict[str, Any]


class Preset(NamedTuple):
    """What a preset has for a model on a data set.

    Attributes:
        values: the keys with their values.
        sections: where they come from, in a preset by data set: the section of the base model and, if there is one, that of the
            SDA version, which wins. Empty for a flat preset, whose values replace those of sda.yaml.
    """

    values: Dict[str, Any]
    sections: List[Section]


def read_preset(name: str, model: str, dataset: str) -> Preset:
    """Read what a preset has for a model on a data set.

    Args:
        name: name of a file in properties/preset/.
        model: a base model or a *_SDA model. ``Foo_SDA`` gets the settings of ``Foo``, so that both share them.
        dataset: name of the data set. A miniature does not get the settings of the full data set.

    Raises:
        InputError: there is no such preset; it is one of *_SDA models and ``model`` is none; it has nothing for the data set or
            the model; or the file is not in the form of a preset.
    """
    path = properties_file("preset", name, FOLDER)
    content = read_yaml(path)
    if BY_DATASET not in content:
        if not model.endswith(SUFFIX):
            raise InputError(f"preset={name!r}: has settings of *_SDA models only; {model} is not one")
        return Preset(content, [])
    if len(content) > 1:
        raise InputError(f"{path}: {BY_DATASET} must be the only key, found {', '.join(content)}")
    datasets, base = _mapping(path, BY_DATASET, content[BY_DATASET]), base_name(model)
    if dataset not in datasets:
        raise InputError(
            f"preset={name!r}: has no settings for the data set {dataset}; it has some for {', '.join(datasets)}"
        )
    models = _mapping(path, f"{BY_DATASET}: {dataset}", datasets[dataset])
    if base not in models:
        known = ", ".join(other for other in models if not other.endswith(SUFFIX))
        raise InputError(
            f"preset={name!r}: has no settings for the model {base} on {dataset}; it has some for "
            f"{known} (with and without {SUFFIX})"
        )
    sections = []
    for owner in dict.fromkeys((base, model)):
        if owner in models:
            where = f"{BY_DATASET}: {dataset}: {owner}"
            sections.append(Section(owner, f"{path}: {where}", _mapping(path, where, models[owner])))
    return Preset({key: value for section in sections for key, value in section.keys.items()}, sections)


def _mapping(path: Path, where: str, value: Any) -> Dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise InputError(f"{path}: {where}: expected `key: value`, found {value!r}")
    return value
