"""Importers of vectors from other software: npy with a list of ids, parquet, and RecBole's .itememb."""

import zipfile
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Union

import numpy as np
import pyarrow

from recbole_sda.errors import InputError
from recbole_sda.features.checks import check_ids
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.ids import id_of, id_text
from recbole_sda.io.parquet import read_parquet
from recbole_sda.io.regular_file import regular_file
from recbole_sda.io.tensors import read_array
from recbole_sda.io.text import read_lines

PathLike = Union[str, Path]

HEADERS = ("item_id", "asin", "parent_asin")  # names of id columns; no id is called so


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
        ids: a text file with one item id per line, without a header.
        masks: per modality the file of a mask (n_items,) of the items that have it.

    Raises:
        InputError: a file is missing, is not a plain array of real numbers, a line is no id, or a mask has no matrix.
    """
    item_ids = read_ids(ids)
    features = {name: _to_matrix(_load_array(path), path, len(item_ids)) for name, path in matrices.items()}
    present = {name: _to_mask(_load_array(path), path) for name, path in (masks or {}).items()}
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
        InputError: the file is missing or not parquet, an id is missing or none, or a column is missing or not a column of such
            lists of numbers.
    """
    table = read_parquet(path, (id_column, *columns.values()))
    item_ids = check_ids(table[id_column].to_pylist(), f"{path}, column {id_column!r}")
    features, present = {}, {}
    for modality, name in columns.items():
        kind = table[name].type
        if _is_list_type(kind) and not _is_number_type(kind.value_type):
            raise InputError(f"{path}, column {name!r}: expected lists of numbers, found {kind}")
        rows = table[name].to_pylist()
        widths = {len(row) for row in rows if row is not None} if _is_list_type(kind) else set()
        if len(widths) != 1 or widths == {0}:
            raise InputError(
                f"{path}, column {name!r}: expected lists of one length, found {sorted(widths) or 'no lists'}"
            )
        present[modality] = np.array([row is not None for row in rows])
        zeros = [0.0] * widths.pop()
        matrix = _rows_to_matrix([zeros if row is None else row for row in rows], path, name)
        features[modality] = _finite(matrix, f"{path}, column {name!r}")
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
    lines = read_lines(regular_file(path))
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
            item_ids.append(id_of(cells[token], f"{path}, line {number}"))
            rows.append(np.array(cells[vector].split(), dtype=np.float32))
        except ValueError as error:
            message = str(error) if isinstance(error, InputError) else f"{path}, line {number}: {error}"
            raise InputError(message) from None
        if len(rows[-1]) != len(rows[0]):
            raise InputError(f"{path}, line {number}: {len(rows[-1])} values where the first item has {len(rows[0])}")
    if not rows:
        raise InputError(f"{path} holds no vectors")
    matrix = _finite(np.stack(rows), path)
    return Vectors(check_ids(item_ids, str(path)), {modality: matrix}, {}, {Path(path).name: sha256_of(Path(path))})


def read_ids(path: PathLike) -> List[str]:
    """Return the item ids of a text file with one per line; an InputError where a line is none or an id is given twice."""
    lines = read_lines(regular_file(path, "id file"))
    if not lines:
        raise InputError(f"{path} is empty: expected one item id per line")
    for number, line in enumerate(lines, start=1):
        if "\t" in line.strip():
            raise InputError(f"{path}, line {number}: expected one id per line, found several columns: {line[:80]!r}")
    if lines and id_text(lines[0]).partition(":")[0] in HEADERS:
        raise InputError(
            f"{path}, line 1: {lines[0]!r} is the name of a column; the first line must be the id of the first row"
        )
    return check_ids([id_of(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)], str(path))


def _load_array(path: PathLike) -> np.ndarray:
    if zipfile.is_zipfile(regular_file(path, "array")):
        raise InputError(
            f"{path} is an archive, such as .npz or .pt; expected one array, as numpy.save writes it (.npy)"
        )
    return read_array(path)


def _rows_to_matrix(rows: List[List[float]], path: PathLike, column: str) -> np.ndarray:
    for number, row in enumerate(rows, start=1):
        if any(value is None for value in row):
            raise InputError(f"{path}, column {column!r}, row {number}: a value inside a list is null")
    with np.errstate(over="ignore"):  # see _to_floats
        return np.array(rows, dtype=np.float32)


def _to_matrix(values: np.ndarray, where: PathLike, n_items: int) -> np.ndarray:
    matrix = _to_floats(values, where)
    if matrix.ndim != 2 or len(matrix) != n_items:
        raise InputError(f"{where}: expected a matrix ({n_items} items, dim), a row for each id; found {matrix.shape}")
    return _finite(matrix, where)


def _finite(matrix: np.ndarray, where: PathLike) -> np.ndarray:
    wrong = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(wrong):
        raise InputError(
            f"{where}: {len(wrong)} rows have values that are no finite float32 numbers, the first is row {wrong[0] + 1}"
        )
    return matrix


def _to_floats(values: np.ndarray, where: PathLike) -> np.ndarray:
    if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise InputError(f"{where}: expected real numbers, found {values.dtype}")
    if values.ndim != 2 or not values.shape[1]:
        raise InputError(f"{where}: expected a matrix (n_items, dim) with at least one column, found {values.shape}")
    if values.dtype == np.float16 or values.dtype == np.float32:
        return values
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are refused like those
        return values.astype(np.float32)


def _to_mask(values: np.ndarray, where: PathLike) -> np.ndarray:
    if values.ndim != 1 or not np.isin(values, (0, 1)).all():
        raise InputError(
            f"{where}: expected a mask (n_items,) of True and False, or of 1 and 0; found {values.dtype} {values.shape}"
        )
    return values.astype(bool)


def _is_list_type(kind: pyarrow.DataType) -> bool:
    types = pyarrow.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_number_type(kind: pyarrow.DataType) -> bool:
    types = pyarrow.types
    return bool(types.is_integer(kind) or types.is_floating(kind))
