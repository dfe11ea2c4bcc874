"""Which keys a run of a model reads, so that a misspelt key is an error."""

import inspect
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import FrozenSet, List, Sequence

import recbole
import yaml
from recbole.utils import argument_list

from recbole_sda.config.defaults import PUBLISHED, keys_not_read, model_files, own_keys
from recbole_sda.config.presets import read_preset
from recbole_sda.errors import InputError, nearest
from recbole_sda.io.yaml import YamlLoader, properties_dir, read_yaml
from recbole_sda.model.registry import base_name, plain_model

COMMAND_KEYS = {"model", "dataset", "config_files"}  # read by the command itself
RECBOLE = Path(recbole.__file__).parent


@lru_cache(maxsize=None)
def recbole_keys(base: str) -> FrozenSet[str]:
    """Return the keys that RecBole or the base model reads: those of its YAML files, and ``config["..."]`` in its code."""
    keys = set(COMMAND_KEYS)
    files = [RECBOLE / "properties/overall.yaml", RECBOLE / "properties/dataset/sample.yaml"]
    files += [RECBOLE / f"properties/model/{base}.yaml", *model_files(base)]
    files += (RECBOLE / "properties/quick_start_config").glob("*.yaml")
    for path in files:
        if path.is_file():
            keys |= set(yaml.load(path.read_text(encoding="utf-8"), YamlLoader) or {})
    for name in ("general", "training", "evaluation", "dataset"):
        keys |= set(getattr(argument_list, f"{name}_arguments"))
    for text in _sources(base):
        keys |= set(re.findall(r"config\[\s*[\"'](\w+)[\"']\s*\]", text))
    return frozenset(keys - {PUBLISHED})


def _sources(base: str) -> List[str]:
    folders = ("config", "data", "evaluator", "sampler", "trainer", "utils")
    paths = [path for name in folders for path in (RECBOLE / name).rglob("*.py")]
    paths.append(RECBOLE / "model/abstract_recommender.py")
    return [path.read_text(encoding="utf-8") for path in paths] + model_sources(base)


@lru_cache(maxsize=None)
def model_sources(base: str) -> List[str]:
    """Return the texts of the modules that define a base model, without RecBole's base classes of all models."""
    names = {kind.__module__ for kind in plain_model(base).__mro__} - {
        "builtins",
        "abc",
        "recbole.model.abstract_recommender",
    }
    modules = [sys.modules[name] for name in sorted(names) if not name.startswith("torch.")]
    return [Path(inspect.getfile(module)).read_text(encoding="utf-8") for module in modules]


@lru_cache(maxsize=None)
def keys_of_any_model() -> FrozenSet[str]:
    """Return the keys in the YAML files of all models, RecBole's and the package's."""
    folders = (RECBOLE / "properties/model", properties_dir() / "model")
    return frozenset(
        {key for folder in folders for path in folder.glob("*.yaml") for key in read_yaml(path)} - {PUBLISHED}
    )


def check_keys(keys: Sequence[str], model: str, source: str, strict: bool) -> List[str]:
    """Refuse keys that nothing reads; return those that only other models read.

    Args:
        keys: keys that were given.
        model: the model of the run.
        source: where they were given, for the message.
        strict: whether keys of other models are refused too.

    Raises:
        InputError: nothing reads a key; the message suggests the nearest one.
    """
    known = recbole_keys(base_name(model)) | own_keys()
    foreign = [key for key in keys if key not in known]
    for key in foreign:
        elsewhere = key in keys_of_any_model()
        if strict or not elsewhere:
            reason = f"is a key of other models, not of {model}" if elsewhere else "is not a key that anything reads"
            raise InputError(f"{source}: {key!r} {reason}.{nearest(key, known)}")
    return foreign + sorted(set(keys) & keys_not_read(model))


def check_preset(name: str, model: str, dataset: str) -> None:
    """Refuse keys of a preset by data set that the model of their section does not read, or that only the command line can give.

    Raises:
        InputError: there is such a key, or the preset has nothing for the model on the data set.
    """
    for section in read_preset(name, model, dataset).sections:
        unread = check_keys(list(section.keys), section.model, section.source, strict=True)
        unread += sorted({*COMMAND_KEYS, "preset"} & section.keys.keys())
        if unread:
            raise InputError(f"{section.source}: {section.model} does not read {', '.join(unread)} from a preset")


def model_defaults_text(base: str) -> str:
    """Return the text of a model's YAML files, RecBole's and the package's; empty where there is none."""
    paths = [RECBOLE / f"properties/model/{base}.yaml", *model_files(base)]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.is_file())
