"""Interaction files of a data set: where they are, hashes of what they hold, and checks of their columns."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Dict, List, Union

from recbole_sda.config.run_config import RunConfig, columns_of
from recbole_sda.config.split_checks import GIVEN, needs_times
from recbole_sda.errors import InputError
from recbole_sda.features.store import stored_sha256
from recbole_sda.features.store_choice import store_path
from recbole_sda.io.hashes import sha256_of
from recbole_sda.model.registry import reads_store

from recbole.utils import ModelType  # isort: skip  (after recbole_sda.config.run_config, which makes RecBole importable)

ATTRIBUTES = ("user", "item", "kg", "link", "net")  # suffixes of the files that RecBole loads where load_col is empty
COLUMN_TYPES = {"token", "float", "token_seq", "float_seq"}  # of RecBole's atomic files


def is_prepared(name: str, data_path: Union[str, Path]) -> bool:
    """Return whether the data set's folder holds an interaction file, or the files of a given split."""
    return bool(_files(Path(data_path) / name, name))


def interaction_files(config: RunConfig) -> List[Path]:
    """Return the interaction file of a run's data set, or the files of its given split, sorted by name."""
    return _files(Path(config["data_path"]), config["dataset"])


def _files(folder: Path, name: str) -> List[Path]:
    return sorted(folder.glob(f"{name}.*inter"))


def input_hashes(config: RunConfig) -> Dict[str, str]:
    """Return SHA-256 hashes of what a run reads.

    ``interactions`` is over the interaction files, ``attributes`` over the further atomic files that are read (``load_col``), and
    ``features`` over the vectors of the feature store. The last two are there for runs that read them.
    """
    inputs = {"interactions": _files_sha256(interaction_files(config))}
    attributes = _attribute_files(config)
    if attributes:
        inputs["attributes"] = _files_sha256(attributes)
    if reads_store(config):
        inputs["features"] = stored_sha256(store_path(config["data_path"], config["features"]))
    return inputs


def _attribute_files(config: RunConfig) -> List[Path]:
    """Return the atomic files beside those of interactions that RecBole loads for a run, sorted by name."""
    columns = config["load_col"]
    suffixes = {*(ATTRIBUTES if columns is None else columns), *(config["additional_feat_suffix"] or [])} - {"inter"}
    files = [Path(config["data_path"]) / f"{config['dataset']}.{suffix}" for suffix in sorted(suffixes)]
    return [path for path in files if path.is_file()]


def _files_sha256(paths: List[Path]) -> str:
    hashes = [_file_sha256(path, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


@lru_cache(maxsize=None)  # a comparison asks for every run
def _file_sha256(path: Path, size: int, modified: int) -> str:
    """Return the hash of a file; size and time of modification are part of the cache's key."""
    return sha256_of(path)


def check_columns(config: RunConfig) -> None:
    """Check the first line of each interaction file.

    Raises:
        InputError: RecBole could not read the line, or a column that the run reads is missing.
    """
    needed = [config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]]
    timed = config["eval_args"]["order"] == "TO" or config["MODEL_TYPE"] == ModelType.SEQUENTIAL or needs_times(config)
    if timed and not config["benchmark_filename"]:
        needed.append(config["TIME_FIELD"])
    split = config["eval_args"]["split"]
    if GIVEN in split and not config["benchmark_filename"]:
        needed.append(split[GIVEN])
    for path in interaction_files(config):
        columns = columns_of(path, config["field_separator"])
        if not set(columns.values()) <= COLUMN_TYPES:
            raise InputError(
                f"{path}: expected a first line of name:type, as user_id:token, separated by {config['field_separator']!r}, "
                f"with the types {', '.join(sorted(COLUMN_TYPES))}; found {', '.join(map(':'.join, columns.items()))[:100]!r}"
            )
        for name in needed:
            if name not in columns:
                raise InputError(
                    f"{path}: no column {name!r}, which the run reads; its columns are {', '.join(columns)}"
                )
