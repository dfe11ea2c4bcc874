"""Tables of interactions of one's own, in CSV, JSON lines or Parquet, and the columns that a user names."""

import logging
from itertools import chain
from pathlib import Path
from typing import Collection, Mapping, Optional, Sequence, Union

from dataset_prep.interactions import Interactions, collect
from dataset_prep.problems import Problems
from dataset_prep.records import is_table, read_records
from dataset_prep.rows import parse_rows
from dataset_prep.times import UNITS
from recbole_sda.errors import InputError, nearest

logger = logging.getLogger(__name__)

PathLike = Union[str, Path]


def read_interactions(
    path: PathLike, columns: Mapping[str, Optional[str]], problems: Problems, unit: str = "s", names: Sequence[str] = ()
) -> Interactions:
    """Read interactions from a table. The log names the columns that are left out.

    Args:
        path: the table.
        columns: names of the columns of ``user`` and ``item``, and of ``time`` and ``rating`` or None.
        problems: counts bad rows.
        unit: of the time, one of :data:`dataset_prep.times.UNITS`.
        names: of the columns of a file without a header; empty: the first line has them.

    Raises:
        InputError: the file or a column is missing, or the table has no rows.
    """
    records = read_records(path, problems, names)
    first = next(records, None)
    if first is None:
        raise InputError(f"{path} holds no rows")
    fields = {key: column_of(name, first, path, f"--{key}-col") for key, name in columns.items() if name}
    for key, name in fields.items():
        twice = [other for other in fields if fields[other] == name and other != key]
        if twice:
            raise InputError(f"{path}: --{key}-col and --{twice[0]}-col are both the column {name!r}")
    log_left_out(path, [column for column in first if column not in fields.values()], "--time-col, --rating-col")
    return collect(parse_rows(chain([first], records), fields, path, problems, UNITS[unit]))


def log_left_out(path: PathLike, columns: Sequence[str], options: str) -> None:
    """Log the columns of a table that are left out, and the options that would use them."""
    if columns:
        logger.info("%s: left out: %s (see %s)", path, ", ".join(map(str, columns)), options)


def column_of(name: str, columns: Collection[str], path: PathLike, option: str) -> str:
    """Return the column that a name refers to: the column itself, or one of RecBole's, ``name:type``.

    Args:
        name: given by the user.
        columns: of the table.
        path: of the table, for the message.
        option: of the command line that gave the name, for the message.

    Raises:
        InputError: there is no such column.
    """
    typed = {str(column).partition(":")[0]: column for column in columns}
    if name in columns:
        return name
    if name in typed:
        return typed[name]
    header = "; if the first line is not a header, name the columns by --columns" if is_table(path) else ""
    raise InputError(
        f"{path}: no column {name!r} ({option}); there are {', '.join(map(str, columns))}{header}.{nearest(name, typed)}"
    )
