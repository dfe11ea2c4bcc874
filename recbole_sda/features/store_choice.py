"""Which of a data set's feature stores a run reads: the named one, the only one, or the one recorded as the default.

``<data_path>/<dataset>/features/default.txt`` has the name of the default. It is written with the first store, so that a store
which is added later changes no run.
"""

import logging
from pathlib import Path
from typing import List, Optional, Union

from recbole_sda.errors import InputError, MissingFeatures, nearest
from recbole_sda.features.hub_store import hub_store
from recbole_sda.features.manifest import MANIFEST
from recbole_sda.io.atomic_folder import restore_folders
from recbole_sda.io.atomic_write import write_lines
from recbole_sda.io.hub import is_hub_name
from recbole_sda.io.regular_file import read_text

logger = logging.getLogger(__name__)

FEATURES_FOLDER, DEFAULT = "features", "default.txt"


def store_names(dataset_path: Union[str, Path]) -> List[str]:
    """Return the names of a data set's feature stores, sorted."""
    folder = Path(dataset_path) / FEATURES_FOLDER
    if not folder.is_dir():
        return []
    restore_folders(folder)
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".") and (p / MANIFEST).is_file())


def store_folder(recorded: str) -> Path:
    """Return the folder of a store from what a run records of it: a path, or a name of the Hub, whose store is in the cache."""
    return hub_store(recorded).path if is_hub_name(recorded) else Path(recorded)


def store_path(dataset_path: Union[str, Path], name: Optional[str] = None) -> Path:
    """Return the directory of a store of a data set.

    Args:
        dataset_path: the data set's directory.
        name: the store's name below ``features/``, or ``hf://owner/name@revision``, a store of the Hub; None takes the only one
            below ``features/``, or else the default.

    Raises:
        MissingFeatures: the data set has no store.
        InputError: there is no such store, or no name was given and there are several without a default.
    """
    if is_hub_name(name):
        return hub_store(str(name)).path
    folder, names = Path(dataset_path) / FEATURES_FOLDER, store_names(dataset_path)
    if not names:
        raise MissingFeatures(
            f"no feature store in {folder}. Import vectors of your own with `python -m recbole_sda features import`, "
            "or compute light ones from texts and images with `python -m recbole_sda features extract`"
        )
    if name is None:
        name = names[0] if len(names) == 1 else default_store(dataset_path)
    if name is None:
        raise InputError(
            f"{folder} holds several feature stores ({', '.join(names)}) and none is the default; choose one with "
            "--features=NAME, or make one the default with `python -m recbole_sda features default STORE`"
        )
    if str(name) not in names:
        raise InputError(
            f"no feature store {str(name)!r} in {folder}; available: {', '.join(names)}.{nearest(name, names)}"
        )
    return folder / str(name)


def default_store(dataset_path: Union[str, Path]) -> Optional[str]:
    """Return the name of a data set's default store; None where none is recorded, or it is gone."""
    path = Path(dataset_path) / FEATURES_FOLDER / DEFAULT
    name = read_text(path).strip() if path.is_file() else None
    return name if name in store_names(dataset_path) else None


def set_default(store: Union[str, Path]) -> Path:
    """Make a store the default of its data set and return its path.

    Raises:
        InputError: the path is not a store in the folder ``features`` of a data set.
    """
    path = Path(store).resolve()
    if path.parent.name != FEATURES_FOLDER or not (path / MANIFEST).is_file():
        raise InputError(f"{store}: expected a feature store, <data_path>/<dataset>/{FEATURES_FOLDER}/<name>")
    write_lines(path.parent / DEFAULT, [f"{path.name}\n"])
    return path


def keep_default(store: Path) -> None:
    """Record a data set's default store after a store was written: the one that was there alone before, or the new one."""
    path = store.resolve()
    dataset = path.parent.parent
    if path.parent.name != FEATURES_FOLDER:
        return
    names = store_names(dataset)
    others = [name for name in names if name != path.name]
    if default_store(dataset) is None and len(others) <= 1:  # of several, it is not known which one runs have read
        set_default(path.parent / (others[0] if others else path.name))
    default = default_store(dataset)
    if others and default:
        logger.info(
            "%s has the stores %s; runs read %s unless --features=NAME names another",
            dataset.name,
            ", ".join(names),
            default,
        )
