"""RecBole's atomic files as tables of texts, for what is read beside RecBole."""

import csv
from typing import TYPE_CHECKING, List

from recbole_sda.errors import InputError, one_line
from recbole_sda.io.regular_file import PathLike, regular_file

if TYPE_CHECKING:
    import pandas as pd


def read_atomic(path: PathLike, what: str = "file") -> "pd.DataFrame":
    """Return the rows of an atomic file as texts; the columns have their names without types.

    Quotation marks are characters, and only line breaks end a row, as RecBole reads it here.

    Args:
        path: a file of columns separated by tabs, whose first line has their names.
        what: the kind of file, for messages.

    Raises:
        InputError: the file is missing, is no regular file in UTF-8, has no header or a column twice, or a row of another width.
    """
    import pandas as pd

    with open(regular_file(path, what), "rb") as file:
        first = file.readline()
    try:
        header = first.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{what} {path} is not a text file in UTF-8: {error}") from None
    if "\0" in header:
        raise InputError(f"{what} {path}, line 1 has a NUL character: expected the names of the columns")
    if not header.strip():
        raise InputError(f"{what} {path} is empty: expected a first line with the names of the columns")
    names = [name.partition(":")[0].strip() for name in header.split("\t")]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{what} {path}: the column {name!r} occurs twice")
    check_widths(path, "\t", "utf-8-sig")
    try:
        table = pd.read_csv(
            path, sep="\t", names=names, skiprows=1, dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE,
            encoding="utf-8", lineterminator="\n", index_col=False, on_bad_lines="error",
        )  # fmt: skip
    except (ValueError, pd.errors.ParserError, OverflowError) as error:
        raise InputError(f"{what} {path} is damaged: {one_line(error)}") from None
    table[names[-1]] = table[names[-1]].str.rstrip("\r")
    return table


def check_widths(path: PathLike, separator: str, encoding: str) -> List[int]:
    """Refuse a row with another number of separators than the first line: pandas fills it up, or shifts its columns.

    Returns:
        The numbers of the empty lines, which are no rows. A line of separators or blanks is a row.
    """
    empty: List[int] = []
    with open(path, encoding=encoding, newline="\n") as file:
        try:
            header = file.readline().rstrip("\r\n")
            width = header.count(separator)
            for number, row in enumerate(file, 2):
                if not row.rstrip("\r\n"):
                    empty.append(number)
                    continue
                if row.count(separator) != width:
                    raise InputError(
                        f"{path}, line {number}: {row.count(separator) + 1} values, but the first line names {width + 1} columns"
                    )
                if row[:1] == header[:1] and row.rstrip("\r\n") == header:
                    raise InputError(f"{path}, line {number}: repeats the first line; leave it out")
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not a text file in {encoding}: {error}") from None
    return empty
