"""Atomic files of a data set: which ones a run reads, hashes of what they hold, and checks of their columns and rows."""

import hashlib
import logging
from functools import lru_cache
from glob import escape
from pathlib import Path
from typing import Collection, Dict, List, Union

from recbole_sda.config.run_config import RunConfig, columns_of
from recbole_sda.config.split_checks import GIVEN, needs_times
from recbole_sda.data.atomic_rows import Needs, check_rows
from recbole_sda.data.field_keys import check_field_keys
from recbole_sda.errors import InputError, nearest
from recbole_sda.features.store import stored_sha256
from recbole_sda.features.store_choice import store_path
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.regular_file import regular_file
from recbole_sda.model.registry import reads_store

from recbole.utils import ModelType  # isort: skip  (after recbole_sda.config.run_config, which makes RecBole importable)

logger = logging.getLogger(__name__)

COLUMN_TYPES = {"token", "float", "token_seq", "float_seq"}  # of RecBole's atomic files


def is_prepared(name: str, data_path: Union[str, Path]) -> bool:
    """Return whether the data set's folder holds an interaction file, or the files of a given split."""
    return bool(_files(Path(data_path) / name, name))


def interaction_files(config: RunConfig) -> List[Path]:
    """Return the interaction file of a run's data set, or the files of its given split, sorted by name."""
    return _files(Path(config["data_path"]), config["dataset"])


def _files(folder: Path, name: str) -> List[Path]:
    return sorted(folder.glob(f"{escape(name)}.*inter"))


def input_hashes(config: RunConfig) -> Dict[str, str]:
    """Return SHA-256 hashes of what a run reads.

    ``interactions`` is over the interaction files, ``attributes`` over the further atomic files that are read (``load_col``), and
    ``features`` over the vectors of the feature store, ``id_codes`` over a file of semantic ids. The last three are there for runs
    that read them.
    """
    inputs = {"interactions": _files_sha256(interaction_files(config))}
    attributes = _attribute_files(config)
    if attributes:
        inputs["attributes"] = _files_sha256(attributes)
    if reads_store(config):
        inputs["features"] = stored_sha256(store_path(config["data_path"], config["features"]))
    codes = config["id_codes"]
    if isinstance(codes, str):
        inputs["id_codes"] = _files_sha256([regular_file(codes, "file of id_codes")])
    return inputs


def _attribute_files(config: RunConfig) -> List[Path]:
    """Return the atomic files beside those of interactions that RecBole loads for a run, sorted by name."""
    columns, further = config["load_col"], config["additional_feat_suffix"] or ()
    loaded = {s: paths for s, paths in read_files(config).items() if columns is None or s in columns or s in further}
    return sorted(path for suffix, paths in loaded.items() if suffix != "inter" for path in paths)


def _files_sha256(paths: List[Path]) -> str:
    hashes = [_file_sha256(path, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


@lru_cache(maxsize=None)  # a comparison asks for every run
def _file_sha256(path: Path, size: int, modified: int) -> str:
    """Return the hash of a file; size and time of modification are part of the cache's key."""
    return sha256_of(path)


def read_files(config: RunConfig) -> Dict[str, List[Path]]:
    """Return the atomic files that RecBole reads for a run, by suffix; files that do not exist are left out."""
    folder, name = Path(config["data_path"]), config["dataset"]
    parts = config["benchmark_filename"]
    files = {"inter": [folder / f"{name}.{part}.inter" for part in parts] if parts else [folder / f"{name}.inter"]}
    others = ["user", "item", *(config["additional_feat_suffix"] or ())]
    if config["MODEL_TYPE"] == ModelType.KNOWLEDGE:
        others += ["kg", "link"]
    files.update({suffix: [folder / f"{name}.{suffix}"] for suffix in others})
    return {suffix: [path for path in paths if path.is_file()] for suffix, paths in files.items()}


def loaded_columns(config: RunConfig, suffix: str, columns: Collection[str], path: Path) -> List[str]:
    """Return those of a file's columns that RecBole reads, by ``load_col`` and ``unload_col``.

    Raises:
        InputError: ``load_col`` names a column that the file does not have; RecBole would leave it out.
    """
    chosen, without = config["load_col"], (config["unload_col"] or {}).get(suffix, ())
    wanted = columns if chosen is None else chosen.get(suffix, ())
    if wanted == "*":
        wanted = columns
    for name in wanted:
        if name not in columns:
            raise InputError(
                f"load_col: {suffix}: no column {name!r}; {path} has {', '.join(columns)}.{nearest(name, columns)}"
            )
    return [name for name in columns if name in wanted and name not in without]


def check_files(config: RunConfig) -> None:
    """Check the first line and the rows of each atomic file that a run reads.

    Raises:
        InputError: RecBole could not read a line, or would fill it in; or a column that the run reads is missing.
    """
    check_parts(config)
    needed = _needed_columns(config)
    columns_read: Dict[str, Dict[str, str]] = {}
    for suffix, paths in read_files(config).items():
        for path in paths:
            columns = columns_of(path, config["field_separator"], config["encoding"])
            _check_header(path, columns, config["field_separator"])
            if suffix == "inter":
                _check_needed(path, columns, needed)
            loaded = loaded_columns(config, suffix, columns, path)
            for name in needed if suffix == "inter" else ():
                if name not in loaded:
                    raise InputError(f"load_col={config['load_col']}: the run reads the column {name!r} too; add it")
            columns_read.setdefault(suffix, {}).update({name: columns[name] for name in loaded})
            needs = _needs(config, suffix, loaded)
            _check_types(path, columns, needs)
            n_rows = check_rows(path, needs, config["field_separator"], config["seq_separator"], config["encoding"])
            if loaded and not n_rows and path == paths[0]:  # a part for validation may be empty
                raise InputError(f"{path}: there are no rows below the first line")
    check_field_keys(config, columns_read)


def _needs(config: RunConfig, suffix: str, loaded: List[str]) -> Needs:
    fields = (
        "USER_ID_FIELD",
        "ITEM_ID_FIELD",
        "HEAD_ENTITY_ID_FIELD",
        "TAIL_ENTITY_ID_FIELD",
        "RELATION_ID_FIELD",
        "ENTITY_ID_FIELD",
    )
    time, label = config["TIME_FIELD"], config["LABEL_FIELD"]
    inter = suffix == "inter"
    histories = [config["ITEM_ID_FIELD"] + config["LIST_SUFFIX"]]
    sequential_parts = inter and config["MODEL_TYPE"] == ModelType.SEQUENTIAL
    return Needs(
        loaded,
        ids=[config[field] for field in fields],
        numbers=[time, label, *(config["threshold"] or ())] if inter else [],
        histories=histories if sequential_parts else [],
        time=time if inter else "",
        unique={"user": config["USER_ID_FIELD"], "item": config["ITEM_ID_FIELD"]}.get(suffix, ""),
    )


def _check_types(path: Path, columns: Dict[str, str], needs: Needs) -> None:
    """Refuse ids that are no tokens and necessary numbers that are no floats: RecBole would not read them as such."""
    expected = {**dict.fromkeys(needs.ids, "token"), **dict.fromkeys(needs.numbers, "float"),
                **dict.fromkeys(needs.histories, "token_seq")}  # fmt: skip
    for name in needs.loaded:
        if columns[name] != expected.get(name, columns[name]):
            raise InputError(f"{path}: the column {name}:{columns[name]} is read as {name}:{expected[name]}; rename it")


def _check_header(path: Path, columns: Dict[str, str], separator: str) -> None:
    if next(iter(columns)).startswith("\ufeff"):
        raise InputError(f"{path} starts with a byte order mark; leave out encoding, or give encoding=utf-8-sig")
    if any("\x00" in name for name in columns):
        raise InputError(
            f"{path} holds NUL characters, as files in UTF-16 do; save it in UTF-8, or give encoding=utf-16"
        )
    if not set(columns.values()) <= COLUMN_TYPES:
        raise InputError(
            f"{path}: expected a first line of name:type, as user_id:token, separated by {separator!r}, "
            f"with the types {', '.join(sorted(COLUMN_TYPES))}; found {', '.join(map(':'.join, columns.items()))[:100]!r}"
        )


def _needed_columns(config: RunConfig) -> Dict[str, str]:
    """Return the columns of interactions that a run cannot do without, with what else can be done."""
    needed = {config["USER_ID_FIELD"]: "", config["ITEM_ID_FIELD"]: ""}
    sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
    if config["benchmark_filename"]:
        ways = "A sequential model reads given parts only with a column of histories; give it the undivided .inter file instead"
        return {**needed, f"{config['ITEM_ID_FIELD']}{config['LIST_SUFFIX']}": ways} if sequential else needed
    split = config["eval_args"]["split"]
    if GIVEN in split:
        needed[split[GIVEN]] = ""
    if sequential or config["eval_args"]["order"] == "TO" or needs_times(config):
        needed[config["TIME_FIELD"]] = (
            "TIME_FIELD names the column of times; without one, general models run with eval_args={order: RO, "
            "split: {RS: [0.8, 0.1, 0.1]}}, and benchmark_filename=[train, valid, test] reads given parts"
        )
    return needed


def _check_needed(path: Path, columns: Dict[str, str], needed: Dict[str, str]) -> None:
    for name, ways in needed.items():
        if name not in columns:
            raise InputError(
                f"{path}: no column {name!r}, which the run reads; its columns are {', '.join(columns)}.{ways and ' ' + ways}"
            )


def check_parts(config: RunConfig) -> None:
    """Check that the parts of ``benchmark_filename`` exist; name parts that lie beside an undivided file and are not read.

    Raises:
        InputError: a part does not exist.
    """
    folder, name, parts = Path(config["data_path"]), config["dataset"], config["benchmark_filename"]
    there = sorted(path.name[len(name) + 1 : -len(".inter")] for path in folder.glob(f"{escape(name)}.*.inter"))
    for part in parts or ():
        if part not in there:
            raise InputError(
                f"benchmark_filename={parts}: {folder / f'{name}.{part}.inter'} does not exist; there are the parts "
                f"{', '.join(there) or 'none'}.{nearest(part, there)}"
            )
    if not parts and there:
        if not (folder / f"{name}.inter").is_file():
            raise InputError(
                f"{folder / f'{name}.inter'} does not exist; benchmark_filename=[train, valid, test] reads given parts, and there "
                f"are {', '.join(there)}"
            )
        logger.warning(
            "%s: the parts %s beside the undivided file are not read; benchmark_filename=[%s] reads given parts",
            folder, ", ".join(there), ", ".join(there),
        )  # fmt: skip
