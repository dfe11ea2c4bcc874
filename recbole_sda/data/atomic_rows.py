"""Rows of RecBole's atomic files that RecBole would fill in, shift or take for something else, named by file and line."""

import csv
import logging
from pathlib import Path
from typing import Collection, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple, Union

import numpy as np
import pandas as pd

from recbole_sda.config.run_config import columns_of
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_table import check_widths
from recbole_sda.io.ids import PADDING
from recbole_sda.recbole_patches.scoped import NOT_A_NUMBER

logger = logging.getLogger(__name__)

CHUNK = 2**20  # rows that are in memory at once
LARGEST = 3e38  # of float32, in which RecBole holds numbers
MILLISECONDS = 1e11  # in seconds, a time in the year 5138


class Needs(NamedTuple):
    """What a run needs of the columns of one file.

    Attributes:
        loaded: columns that RecBole reads.
        ids: those of them that must name a user, an item or an entity in each row.
        numbers: those of them that must hold a number in each row, such as times; elsewhere RecBole fills in the mean.
        histories: those of them that must hold at least one value in each row.
        time: the column of times.
        unique: the column of ids of which each has one row; empty where there is none.
    """

    loaded: Collection[str]
    ids: Collection[str]
    numbers: Collection[str]
    histories: Collection[str]
    time: str
    unique: str = ""


def check_rows(path: Path, needs: Needs, separator: str, inner: str, encoding: str) -> int:
    """Read an atomic file once and refuse rows that RecBole would not read as they are written; return their number.

    Numbers that may be missing are counted in a warning, since RecBole fills in the mean of their column.

    Args:
        path: the file; its first line is known to be one of name:type.
        needs: see :class:`Needs`.
        separator: between columns.
        inner: between the values of a sequence.
        encoding: of the file.

    Raises:
        InputError: a row has another number of values than the first line or repeats that line, an id or a necessary number is
            missing, an id is given twice where each has one row, a value is RecBole's padding token, or a number cannot be read or
            is infinite.
    """
    columns = columns_of(path, separator, encoding)
    empty = check_widths(path, separator, encoding)
    missing: Dict[str, List[int]] = {}
    milliseconds = [0, 0]  # times that look like seconds, and like milliseconds
    seen: Set[str] = set()  # ids that have a row
    n_rows = 0
    for line, table in _chunks(path, columns, needs.loaded, empty, separator, encoding):
        n_rows += len(table)
        if needs.unique in table:
            ids = table[needs.unique]
            _refuse(path, line, ids.duplicated() | ids.isin(seen), ids, f"{needs.unique} has a row already")
            seen.update(ids)
        for name, values in table.items():
            kind = columns[str(name)]
            if kind != "float":
                _refuse_padding(path, line, str(name), values, inner if kind != "token" else None)
            if kind == "token":
                if name in needs.ids:
                    _refuse(path, line, values == "", values, f"{name} is empty")
                continue
            if kind == "float":
                numbers = _numbers(path, line, str(name), values)
                empty = np.isnan(numbers)
                if name in needs.numbers:
                    _refuse(
                        path, line, empty, values, f"{name} is missing, and RecBole would fill in the mean of the file"
                    )
                elif empty.any():
                    missing.setdefault(str(name), []).extend((line[empty]).tolist())
                if name == needs.time:
                    late = int((numbers > MILLISECONDS).sum())
                    milliseconds = [milliseconds[0] + len(numbers) - late, milliseconds[1] + late]
                continue
            if name in needs.histories:
                _refuse(path, line, values.str.strip() == "", values, f"{name} is empty")
            if kind == "float_seq":
                words = values.str.split(inner).explode()
                words = words[words != ""]
                _numbers(path, line[words.index - values.index[0]], str(name), words, complete=True)
    for name, lines in missing.items():
        logger.warning(
            "%s: %s is missing in %d rows, first in line %d; RecBole fills in the mean of the column",
            path,
            name,
            len(lines),
            lines[0],
        )
    if all(milliseconds):
        raise InputError(
            f"{path}: {milliseconds[1]} values of {needs.time} look like milliseconds and {milliseconds[0]} like seconds, so that "
            "their order would be wrong; give all of them in one unit"
        )
    return n_rows


def _chunks(
    path: Path, columns: Mapping[str, str], loaded: Collection[str], empty: List[int], separator: str, encoding: str
) -> Iterator[Tuple[np.ndarray, pd.DataFrame]]:
    """Yield line numbers, (n,), and the loaded columns as texts, of all rows; ``empty`` lines are none."""
    positions = [place for place, name in enumerate(columns) if name in loaded]
    names = [name for name in columns if name in loaded]
    options = {"sep": separator, "dtype": str, "na_filter": False, "quoting": csv.QUOTE_NONE, "skip_blank_lines": False}
    if not names:
        return
    read = pd.read_csv(
        path, header=None, skiprows=1, usecols=positions, names=list(columns), encoding=encoding, chunksize=CHUNK,
        index_col=False, engine="c" if len(separator) == 1 else "python", **options,
    )  # fmt: skip
    start = 2
    for table in read:
        table = table[names].fillna("")
        lines = np.arange(start, start + len(table))
        start += len(table)
        blank = np.isin(lines, empty) if len(columns) > 1 else np.zeros(len(table), dtype=bool)
        table = table[~blank].reset_index(drop=True)
        if len(table):
            yield lines[~blank], table


def _numbers(path: Path, line: np.ndarray, name: str, values: pd.Series, complete: bool = False) -> np.ndarray:
    """Return texts as numbers, NaN where one is missing; refuse what is none, and with ``complete`` also what is missing."""
    missing = values.isin(NOT_A_NUMBER).to_numpy() if not complete else np.zeros(len(values), dtype=bool)
    numbers: np.ndarray = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
    bad = ~(np.abs(numbers) < LARGEST) & ~missing
    _refuse(path, line, bad, values, f"{name}: expected a finite number")
    return np.where(missing, np.nan, numbers)


def _refuse_padding(path: Path, line: np.ndarray, name: str, values: pd.Series, inner: Optional[str]) -> None:
    """Refuse RecBole's padding token; ``inner`` is between the values of a sequence."""
    wrong = values == PADDING
    if inner is not None:
        wrong = pd.Series([PADDING in text and PADDING in text.split(inner) for text in values], dtype=bool)
    _refuse(path, line, wrong, values, f"{name}: {PADDING} stands for no value in RecBole; rename it, or leave it out")


def _refuse(path: Path, line: np.ndarray, wrong: Union[np.ndarray, pd.Series], values: pd.Series, reason: str) -> None:
    """Refuse a file with wrong values; the message names the line of the first one, and how many there are."""
    places = np.flatnonzero(np.asarray(wrong))
    if not len(places):
        return
    more = f" (and {len(places) - 1} more rows)" if len(places) > 1 else ""
    value = values.iloc[places[0]]
    found = f", found {value[:80]!r}" if value else ""
    raise InputError(f"{path}, line {line[places[0]]}: {reason}{found}{more}")
