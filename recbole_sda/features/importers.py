"""Vectors made elsewhere: npy with a list of ids, parquet, and RecBole's .itememb, read for a feature store."""

from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional

import numpy as np
import pyarrow
import pyarrow.parquet

from recbole_sda.errors import InputError
from recbole_sda.features.store import sha256_of
from recbole_sda.io.text import read_lines


class Vectors(NamedTuple):
    """What an import reads: ids (n_items,), per modality a matrix and, where known, a mask; and the source."""

    item_ids: List[str]
    features: Dict[str, np.ndarray]
    present: Dict[str, np.ndarray]
    source: Dict[str, str]


def _file(path, what: str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{what} {path} does not exist")
    return path


def _floats(values: np.ndarray, where) -> np.ndarray:
    if values.dtype == np.float16 or values.dtype == np.float32:
        return values
    if not np.issubdtype(values.dtype, np.number):
        raise InputError(f"{where}: expected numbers, found {values.dtype}")
    return values.astype(np.float32)


def from_npy(matrices: Mapping[str, str], ids: str, masks: Optional[Mapping[str, str]] = None) -> Vectors:
    """Read one ``.npy`` matrix (n_items, dim) per modality, a text file with one item id per line, optional masks."""
    item_ids = read_lines(_file(ids, "id file"))

    def load(path) -> np.ndarray:
        try:
            return np.load(_file(path, "array"), allow_pickle=False)
        except ValueError as error:
            raise InputError(f"{path} is not a plain .npy array ({error})") from None

    features = {name: _floats(load(path), path) for name, path in matrices.items()}
    present = {name: load(path).astype(bool) for name, path in (masks or {}).items()}
    for name in present:
        if name not in features:
            raise InputError(
                f"a mask is given for modality {name!r}, which has no vectors; there is {', '.join(features)}"
            )
    sources = [*matrices.values(), ids, *(masks or {}).values()]
    return Vectors(item_ids, features, present, {Path(p).name: sha256_of(Path(p)) for p in sources})


def from_parquet(path: str, columns: Mapping[str, str], id_column: str = "item_id") -> Vectors:
    """Read a parquet file with an id column and one column of equally long lists per modality; null is missing."""
    try:
        table = pyarrow.parquet.read_table(_file(path, "parquet file"))
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path} is not a parquet file ({error})") from None
    for name in (id_column, *columns.values()):
        if name not in table.column_names:
            raise InputError(f"{path} has no column {name!r}; it has {', '.join(table.column_names)}")
    item_ids = [str(value) for value in table[id_column].to_pylist()]
    features, present = {}, {}
    for modality, name in columns.items():
        rows = table[name].to_pylist()
        widths = {len(row) for row in rows if row is not None} if _lists(table[name].type) else set()
        if len(widths) != 1:
            raise InputError(
                f"{path}, column {name!r}: expected lists of one length, found {sorted(widths) or 'no lists'}"
            )
        present[modality] = np.array([row is not None for row in rows])
        empty = [0.0] * widths.pop()
        features[modality] = np.array([empty if row is None else row for row in rows], dtype=np.float32)
    return Vectors(item_ids, features, present, {Path(path).name: sha256_of(Path(path))})


def _lists(kind) -> bool:
    types = pyarrow.types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def from_itememb(path: str, modality: str = "text", separator: str = "\t") -> Vectors:
    """Read RecBole's ``.itememb`` atomic file: a token column with the external item id and a float_seq column."""
    lines = read_lines(_file(path, "file"))
    header = lines[0].split(separator) if lines else []
    kinds = [name.partition(":")[2] for name in header]
    if sorted(kinds) != ["float_seq", "token"]:
        raise InputError(f"{path}: expected the columns <id>:token and <vector>:float_seq, found {header}")
    token, vector = kinds.index("token"), kinds.index("float_seq")
    item_ids, rows = [], []
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
