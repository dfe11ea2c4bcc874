"""Splits of other toolkits, read as given: one file for each part, as RecTools, WarpRec and Cornac users keep them.

RecTools: CSV or Parquet with user_id, item_id, weight, datetime. WarpRec: tab-separated with user_id, item_id, rating, timestamp.
Cornac: rows of user, item, rating and time without a header.
"""

from itertools import chain
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from dataset_prep.interactions import Interactions, Row, collect
from dataset_prep.problems import Problems
from dataset_prep.records import Record, read_records
from dataset_prep.rows import parse_rows
from dataset_prep.splits import PARTS
from dataset_prep.table import PathLike, column_of, log_left_out
from dataset_prep.times import UNITS, check_unit
from recbole_sda.errors import InputError

# Names that are looked for where none is given; a rating and a time need not exist.
USUAL = {"user": ("user_id",), "item": ("item_id",), "rating": ("rating", "weight"), "time": ("timestamp", "datetime")}


def read_given_split(
    paths: Mapping[str, Optional[PathLike]],
    columns: Mapping[str, Optional[str]],
    problems: Problems,
    unit: str = "s",
    names: Optional[Sequence[str]] = None,
) -> Tuple[Interactions, np.ndarray, Dict[str, str]]:
    """Read the files of a split.

    Args:
        paths: part, of ``PARTS`` -> its file, or None where there is no such part.
        columns: ``user``, ``item``, ``rating``, ``time`` -> name of the column, or None for the usual names.
        problems: counts bad rows.
        unit: of the times, one of :data:`dataset_prep.times.UNITS`.
        names: names of the columns of files without a header; None: their first lines have them.

    Returns:
        All interactions, part by part in the order of the files; the part of each, a position in ``PARTS``; and the columns that
        were read. Without a time, the order of the rows is the time.

    Raises:
        InputError: a file or column is missing, or a row cannot be read: the split would be incomplete without it.
    """
    parts: List[int] = []
    used: Dict[str, str] = {}
    given = {PARTS.index(name): path for name, path in paths.items() if path}

    def rows() -> Iterator[Row]:
        for part, path in given.items():
            records = read_records(path, problems, names)
            first = next(records, None)
            if first is None:
                raise InputError(f"{path} holds no rows")
            fields = _fields(first, path, columns)
            if used and set(fields) != set(used):
                raise InputError(f"{path}: has {', '.join(fields)}, but the file before it has {', '.join(used)}")
            used.update(fields)
            log_left_out(path, [name for name in first if name not in fields.values()], "--time-col, --rating-col")
            for row in parse_rows(chain([first], records), fields, path, problems, UNITS[unit]):
                parts.append(part)
                yield row if "time" in fields else (*row[:3], len(parts))

    data = collect(rows())
    if problems.counts:
        bad = problems.examples[0]
        raise InputError(
            f"{bad['where']}: {bad['problem']}, {bad['found']!r}; a split is read completely or not at all"
        )
    if "time" in used:
        check_unit(data.time, unit, next(iter(given.values())), compared=False)
    return data, np.array(parts, dtype=np.int8), used


def _fields(first: Record, path: PathLike, columns: Mapping[str, Optional[str]]) -> Dict[str, str]:
    """Return the name of each column that a file has; given names and those of users and items must exist."""
    typed = {str(column).partition(":")[0] for column in first}
    fields: Dict[str, str] = {}
    for key, usual in USUAL.items():
        name = columns.get(key) or next((name for name in usual if name in typed), None)
        if name is not None or key in ("user", "item"):
            fields[key] = column_of(name or usual[0], first, path, f"--{key}-col")
    return fields


def overlap_counts(data: Interactions, part: np.ndarray) -> Dict[str, int]:
    """Return what is unusual in a split, by a description of it; only counts above 0.

    Args:
        data: all interactions.
        part: of each, a position in ``PARTS``.
    """
    trained_items, trained_users = (np.unique(column[part == 0]) for column in (data.item, data.user))
    held_out = part > 0
    order = np.lexsort((part, data.time, data.item, data.user))
    columns = [column[order] for column in (data.user, data.item, data.time)]
    new = np.append(True, np.any([column[1:] != column[:-1] for column in columns], axis=0))
    new_part = new | np.append(True, part[order][1:] != part[order][:-1])
    n_parts = np.bincount((new.cumsum() - 1)[new_part])
    found = {
        "items without a training interaction (no candidates in training)": len(
            np.setdiff1d(data.item[held_out], trained_items)
        ),
        "users without a training interaction (no cases of the evaluation)": len(
            np.setdiff1d(data.user[held_out], trained_users)
        ),
        "interactions in more than one part": int((n_parts > 1).sum()),
    }
    return {what: n for what, n in found.items() if n}
