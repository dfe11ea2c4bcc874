"""Which keys a run of a model reads, so that a misspelt key is an error."""

import ast
import inspect
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, FrozenSet, List, Mapping, Sequence, Set

import yaml

from recbole_sda.config.defaults import SECTIONS, keys_not_read, model_files, own_keys
from recbole_sda.config.presets import read_preset
from recbole_sda.errors import InputError, nearest
from recbole_sda.io.names import safe_name
from recbole_sda.io.yaml import YamlLoader, properties_dir, read_yaml
from recbole_sda.model.model_files import defining_files, recbole_folder
from recbole_sda.model.registry import base_name, check_model_name, is_user_model, user_model

COMMAND_KEYS = {"model", "dataset", "config_files"}  # read by the command itself
RECBOLE = recbole_folder()


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
    keys |= _documented_keys()
    for text in _sources(base):
        keys |= set(re.findall(r"config\[\s*[\"'](\w+)[\"']\s*\]", text))
    return frozenset(keys - SECTIONS)


def _documented_keys() -> Set[str]:
    """Return the keys in the lists of recbole.utils.argument_list, whose import would load torch."""
    names = {f"{name}_arguments" for name in ("general", "training", "evaluation", "dataset")}
    tree = ast.parse((RECBOLE / "utils/argument_list.py").read_text(encoding="utf-8"))
    lists = [node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in names]
    return {key for node in lists for key in ast.literal_eval(node.value)}


def _sources(base: str) -> List[str]:
    folders = ("config", "data", "evaluator", "sampler", "trainer", "utils")
    paths = [path for name in folders for path in (RECBOLE / name).rglob("*.py")]
    paths.append(RECBOLE / "model/abstract_recommender.py")
    return [path.read_text(encoding="utf-8") for path in paths] + model_sources(base)


@lru_cache(maxsize=None)
def model_sources(base: str) -> List[str]:
    """Return the texts of the modules that define a base model, without RecBole's base classes of all models."""
    if is_user_model(base):
        return [path.read_text(encoding="utf-8") for path in _files_of(user_model(base))]
    return [path.read_text(encoding="utf-8") for path in defining_files(base)]


def _files_of(kind: type) -> List[Path]:
    names = {part.__module__ for part in kind.__mro__} - {"builtins", "abc", "recbole.model.abstract_recommender"}
    modules = [sys.modules[name] for name in sorted(names) if not name.startswith("torch.")]
    return [Path(inspect.getfile(module)) for module in modules]


@lru_cache(maxsize=None)
def keys_of_any_model() -> FrozenSet[str]:
    """Return the keys in the YAML files of all models, RecBole's and the package's."""
    folders = (RECBOLE / "properties/model", properties_dir() / "model")
    return frozenset(
        {key for folder in folders for path in folder.glob("*.yaml") for key in read_yaml(path)} - SECTIONS
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


def check_given(
    model: str, dataset: str, config_files: Sequence[str], overrides: Mapping[str, Any], source: str = "command line"
) -> List[str]:
    """Refuse names and keys of a run that cannot be right; return the given keys that the run does not read.

    Imports neither torch nor RecBole, so that a misspelt name is reported at once.

    Args:
        model, dataset, config_files, overrides, source: see :class:`~recbole_sda.config.run_config.RunConfig`.

    Raises:
        InputError: a model, key or file does not exist, or the data set's name cannot be that of a folder.
    """
    safe_name("dataset", dataset)
    check_model_name(model)
    ignored = [
        key for path in config_files for key in check_keys(list(read_yaml(path)), model, str(path), strict=False)
    ]
    return ignored + check_keys(list(overrides), model, source, strict=True)


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
