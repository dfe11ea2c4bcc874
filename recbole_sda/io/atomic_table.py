"""RecBole's atomic files as tables of texts, for what is read beside RecBole."""

import csv
import warnings
from typing import TYPE_CHECKING

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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error", pd.errors.ParserWarning
            )  # the first row is longer than the header, and is cut
            table = pd.read_csv(
                path, sep="\t", names=names, skiprows=1, dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE,
                encoding="utf-8", lineterminator="\n", index_col=False, on_bad_lines="error",
            )  # fmt: skip
    except (ValueError, pd.errors.ParserError, pd.errors.ParserWarning, OverflowError) as error:
        raise InputError(f"{what} {path} is damaged: {one_line(error)}") from None
    table[names[-1]] = table[names[-1]].str.rstrip("\r")
    short = table[names[-1]].isna()
    if short.any():
        raise InputError(
            f"{what} {path}, line {int(short.argmax()) + 2}: fewer columns than the {len(names)} of the header"
        )
    return table
