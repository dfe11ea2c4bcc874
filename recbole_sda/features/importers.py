"""Importers of vectors from other software: npy with a list of ids, parquet, and RecBole's .itememb."""

from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Union

import numpy as np
import pyarrow
import pyarrow.parquet

from recbole_sda.errors import InputError
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.text import read_lines

PathLike = Union[str, Path]


class Vectors(NamedTuple):
    """Imported vectors, ready for :func:`recbole_sda.features.store.write_store`.

    Attributes:
        item_ids: external item tokens, (n_items,).
        features: per modality a matrix (n_items, dim), float16 or float32.
        present: per modality a bool mask (n_items,), only where the source has one.
        source: SHA-256 of each source file, by file name.
    """

    item_ids: List[str]
    features: Dict[str, np.ndarray]
    present: Dict[str, np.ndarray]
    source: Dict[str, str]


def from_npy(
    matrices: Mapping[str, PathLike], ids: PathLike, masks: Optional[Mapping[str, PathLike]] = None
) -> Vectors:
    """Read ``.npy`` arrays.

    Args:
        matrices: per modality the file of a matrix (n_items, dim).
        ids: a text file with one item id per line.
        masks: per modality the file of a mask (n_items,) of the items that have it.

    Raises:
        InputError: a file is missing, is not a plain array of numbers, or a mask has no matrix.
    """
    item_ids = read_lines(_existing(ids, "id file"))

    def load(path: PathLike) -> np.ndarray:
        try:
            return np.load(_existing(path, "array"), allow_pickle=False)
        except ValueError as error:
            raise InputError(f"{path} is not a plain .npy array ({error})") from None

    features = {name: _to_floats(load(path), path) for name, path in matrices.items()}
    present = {name: load(path).astype(bool) for name, path in (masks or {}).items()}
    for name in present:
        if name not in features:
            raise InputError(
                f"a mask is given for modality {name!r}, which has no vectors; given are {', '.join(features)}"
            )
    sources = [*matrices.values(), ids, *(masks or {}).values()]
    return Vectors(item_ids, features, present, {Path(p).name: sha256_of(Path(p)) for p in sources})


def from_parquet(path: PathLike, columns: Mapping[str, str], id_column: str = "item_id") -> Vectors:
    """Read a parquet file with one row per item.

    Args:
        path: the file.
        columns: per modality the column of its vectors, lists of one length; null is a missing item.
        id_column: the column of the item ids.

    Raises:
        InputError: the file is missing or not parquet, or a column is missing or not a column of such lists.
    """
    try:
        table = pyarrow.parquet.read_table(_existing(path, "parquet file"))
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path} is not a parquet file ({error})") from None
    for name in (id_column, *columns.values()):
        if name not in table.column_names:
            raise InputError(f"{path} has no column {name!r}; it has {', '.join(table.column_names)}")
    item_ids = [str(value) for value in table[id_column].to_pylist()]
    features, present = {}, {}
    for modality, name in columns.items():
        rows = table[name].to_pylist()
        widths = {len(row) for row in rows if row is not None} if _is_list_type(table[name].type) else set()
        if len(widths) != 1:
            raise InputError(
                f"{path}, column {name!r}: expected lists of one length, found {sorted(widths) or 'no lists'}"
            )
        present[modality] = np.array([row is not None for row in rows])
        zeros = [0.0] * widths.pop()
        features[modality] = np.array([zeros if row is None else row for row in rows], dtype=np.float32)
    return Vectors(item_ids, features, present, {Path(path).name: sha256_of(Path(path))})


def from_itememb(path: PathLike, modality: str = "text", separator: str = "\t") -> Vectors:
    """Read RecBole's ``.itememb`` atomic file: a token column with the item id and a float_seq column.

    Args:
        path: the file.
        modality: the name that its vectors get.
        separator: of the columns.

    Raises:
        InputError: the file is missing, has other columns, no rows, or a malformed row.
    """
    lines = read_lines(_existing(path, "file"))
    header = lines[0].split(separator) if lines else []
    kinds = [name.partition(":")[2] for name in header]
    if sorted(kinds) != ["float_seq", "token"]:
        raise InputError(f"{path}: expected the columns <id>:token and <vector>:float_seq, found {header}")
    token, vector = kinds.index("token"), kinds.index("float_seq")
    item_ids: List[str] = []
    rows: List[np.ndarray] = []
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split(separator)
        if len(cells) != len(header):
            raise InputError(f"{path}, line {number}: {len(cells)} columns where the header has {len(header)}")
        try:
            item_ids.append(cells[token])
            rows.append(np.array(cells[vector].split(), dtype=np.float32))
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        if len(rows[-1]) != len(rows[0]):
            raise InputError(f"{path}, line {number}: {len(rows[-1])} values where the first item has {len(rows[0])}")
    if not rows:
        raise InputError(f"{path} holds no vectors")
    return Vectors(item_ids, {modality: np.stack(rows)}, {}, {Path(path).name: sha256_of(Path(path))})


def _existing(path: PathLike, description: str) -> Path:
    if not Path(path).is_file():
        raise InputError(f"{description} {path} does not exist")
    return Path(path)


def _to_floats(values: np.ndarray, where: PathLike) -> np.ndarray:
    if values.dtype == np.float16 or values.dtype == np.float32:
        return values
    if not np.issubdtype(values.dtype, np.number):
        raise InputError(f"{where}: expected numbers, found {values.dtype}")
    return values.astype(np.float32)


def _is_list_type(kind: pyarrow.DataType) -> bool:
    types = pyarrow.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
