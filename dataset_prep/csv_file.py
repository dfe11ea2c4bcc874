"""Rows of CSV files, in which a stray quotation mark does not swallow rows."""

import csv
from itertools import chain
from typing import Any, Dict, Iterator, List, Optional, Sequence

from dataset_prep.problems import Problems
from dataset_prep.raw_file import PathLike, decoded, lines_of, open_bytes
from recbole_sda.errors import InputError


def csv_rows(path: PathLike, problems: Problems, columns: Optional[Sequence[str]] = None) -> Iterator[Dict[str, Any]]:
    """Yield the rows of a CSV file as strings. Rows of another width and bytes that are not UTF-8 are counted.

    Such bytes are escaped, as ``\\xe9``, so that different ids stay different.

    Args:
        path: the file. Columns are separated by the most frequent of tab, comma, semicolon and ``|`` in the first line.
        problems: counts bad rows.
        columns: names of the columns of a file without a header; None: its first line has them.

    Raises:
        InputError: the file is missing or empty, a column occurs twice, a quoted field does not end, is followed by other
            characters or holds whole rows, or the first line has another number of columns.
    """
    with open_bytes(path) as file:
        raw_lines = enumerate(lines_of(file, path), start=1)
        lines = (decoded(raw, path, n, problems, "backslashreplace") for n, raw in raw_lines)
        header = next(lines, "").removeprefix("\ufeff")
        if not header.strip():
            raise InputError(f"{path} is empty: expected a header line with the names of the columns")
        separator = max("\t,;|", key=header.count)
        if separator == "\t":  # no quoting; only the line's end in the file ends a row, not a carriage return inside
            lines = (line.rstrip("\r\n").replace("\r", " ") for line in lines)
            reader = csv.reader(chain([header.rstrip("\r\n")], lines), delimiter=separator, quoting=csv.QUOTE_NONE)
        else:
            reader = csv.reader(chain([header], lines), delimiter=separator, strict=True)
        try:
            first = next(reader)
            names = list(columns or first)
            if len(names) != len(first):
                raise InputError(
                    f"{path}: --columns names {len(names)} columns, its first line has {len(first)}: {header.strip()[:80]!r}"
                )
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise InputError(f"{path}: the column {twice!r} occurs twice")
            for row in chain([first], reader) if columns else reader:
                if any("\n" in cell for cell in row):
                    _check_spanning(row, len(names), separator, f"{path}, before line {reader.line_num + 1}")
                if len(row) == len(names):
                    yield dict(zip(names, row))
                elif row:
                    problems.add("bad line", f"{path}:{reader.line_num}", separator.join(row))
        except csv.Error as error:
            raise InputError(
                f"{path}, line {reader.line_num}: {error}; an earlier quotation mark may be open"
            ) from None


def _check_spanning(row: List[str], n_columns: int, separator: str, where: str) -> None:
    """Refuse a quoted field whose inner lines all look like rows: a stray quotation mark has opened it, another one closed it."""
    for cell in row:
        inner = cell.split("\n")[1:-1]
        if inner and all(line.count(separator) == n_columns - 1 for line in inner):
            raise InputError(
                f"{where}: a quoted field holds {len(inner)} lines that look like rows; a quotation mark is stray"
            )
