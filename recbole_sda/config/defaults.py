"""The package's own defaults of a run, from the files in properties/."""

import inspect
from pathlib import Path
from typing import Any, Dict, List, Mapping, Set

from recbole_sda.config.dataset_files import dataset_defaults
from recbole_sda.config.presets import read_preset
from recbole_sda.errors import InputError, nearest
from recbole_sda.io.yaml import properties_dir, read_yaml
from recbole_sda.model.model_files import recbole_folder
from recbole_sda.model.model_table import ENSEMBLE, GENERAL_ENSEMBLE, SUFFIX
from recbole_sda.model.registry import (
    base_name,
    base_spec,
    class_name,
    is_multimodal,
    is_user_model,
    reads_features,
    user_model,
)

RUN, FEATURES, SDA = "run.yaml", "features.yaml", "sda.yaml"
OWN_FILES = (RUN, FEATURES, SDA)
PUBLISHED = "published"  # in a model's file: its authors' settings by data set
OF_SDA = "sda"  # in a model's file: other defaults of its SDA version
SECTIONS = {PUBLISHED, OF_SDA}


def model_files(base: str) -> List[Path]:
    """Return the YAML files with the defaults of a base model that RecBole does not read itself, later ones win.

    The package's file of the model in properties/model/. For a user's own class: RecBole's and the package's files of the classes
    that it inherits from, then ``<Class>.yaml`` in the folder of its module.
    """
    if not is_user_model(base):
        paths = [properties_dir() / f"model/{ENSEMBLE if base == GENERAL_ENSEMBLE else base}.yaml"]
    else:
        kinds = user_model(base).__mro__
        folders = (recbole_folder() / "properties/model", properties_dir() / "model")
        paths = [folder / f"{kind.__name__}.yaml" for kind in reversed(kinds) for folder in folders]
        paths.append(Path(inspect.getfile(kinds[0])).with_name(f"{class_name(base)}.yaml"))
    return [path for path in paths if path.is_file()]


def package_defaults(model: str, dataset: str, given: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the defaults that the package adds to RecBole's, for a run of a model on a data set.

    Order, later wins: run.yaml; features.yaml for models that read item features; for *_SDA models, sda.yaml, the keys of
    sda_defaults and a flat preset; the file of the base model; the file of the data set; what the model's file has as published
    for the data set; a preset by data set.

    Args:
        model: name of the model.
        dataset: name of the data set.
        given: the user's keys, of which ``preset`` and ``id_embedding`` decide which defaults apply.

    Raises:
        InputError: the preset does not exist, or has nothing for the model on the data set.
    """
    preset = given.get("preset")
    chosen = read_preset(str(preset), model, dataset) if preset else None
    values = read_yaml(properties_dir() / RUN)
    if reads_features(model):
        values.update(read_yaml(properties_dir() / FEATURES))
    if model.endswith(SUFFIX):
        flat = chosen.values if chosen and not chosen.sections else {}
        values.update(read_yaml(properties_dir() / SDA))
        if {**values, **flat, **given}["id_embedding"] != "none":
            values.update(sda_defaults(model))
        values.update(flat)
    published: Dict[str, Any] = {}
    for path in model_files(base_name(model)):
        own = read_yaml(path)
        published = own.get(PUBLISHED) or published
        values.update({key: value for key, value in own.items() if key not in SECTIONS})
    values.update(dataset_defaults(dataset))
    values.update(published.get(dataset, {}))
    if chosen and chosen.sections:
        values.update(chosen.values)
    return values  # `preset` keeps its default here: a run that lacks the key was made without one


def sda_defaults(model: str) -> Dict[str, Any]:
    """Return the keys of sda.yaml that have other defaults for a *_SDA model: of its family, then of its base model's file.

    Raises:
        InputError: that file, which may be a user's, gives other keys to its SDA version.
    """
    if not model.endswith(SUFFIX):
        return {}
    spec = base_spec(model)
    family = "multimodal" if is_multimodal(model) else spec and spec.family
    values = read_yaml(properties_dir() / f"sda_{family}.yaml") if family else {}
    for path in model_files(base_name(model)):
        values.update(_of_sda(path))
    return values


def _of_sda(path: Path) -> Dict[str, Any]:
    values, known = read_yaml(path).get(OF_SDA) or {}, read_yaml(properties_dir() / SDA)
    if not isinstance(values, dict):
        raise InputError(f"{path}: {OF_SDA} is {values!r}; it maps keys of properties/{SDA} to values")
    for key in values:
        if key not in known:
            raise InputError(f"{path}: {OF_SDA}: {key!r} is not a key of properties/{SDA}.{nearest(str(key), known)}")
    return values


def defaults_of_earlier_run(values: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the keys that a run's configuration lacks because they did not exist then, at the values that change nothing."""
    unchanged = read_yaml(properties_dir() / SDA)
    return {key: unchanged[key] for key in sda_defaults(values["model"]) if key not in values}


def own_keys() -> Set[str]:
    """Return the keys of properties/run.yaml, features.yaml and sda.yaml."""
    return {key for name in OWN_FILES for key in read_yaml(properties_dir() / name)}


def keys_not_read(model: str) -> Set[str]:
    """Return those of :func:`own_keys` that a model does not read."""
    if model.endswith(SUFFIX):
        return set()
    files = [SDA] if reads_features(model) else [FEATURES, SDA]
    own = {key for path in model_files(base_name(model)) for key in read_yaml(path)}
    return {key for name in files for key in read_yaml(properties_dir() / name)} - own
