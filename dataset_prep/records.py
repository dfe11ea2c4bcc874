"""Records from files, one at a time: JSON lines, the Python literals of Amazon 2014, CSV, Parquet; plain or gzipped."""

import ast
import csv
import gzip
import io
import json
import zlib
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterator, Optional, Sequence, Union

from dataset_prep.problems import Problems
from recbole_sda.errors import InputError
from recbole_sda.io.text import replace_lone_surrogates

GZIP = b"\x1f\x8b"
MAX_BAD = 200  # a file whose first lines are all bad has another format
PARQUET_ROWS = 65_536  # read at once

PathLike = Union[str, Path]
Record = Dict[str, Any]


def open_bytes(path: PathLike) -> BinaryIO:
    """Open a file for reading bytes; a gzipped one is decompressed, whatever its name.

    Raises:
        InputError: the file does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    with open(path, "rb") as file:
        start = file.read(2)
    return io.BufferedReader(gzip.open(path, "rb"), 1 << 20) if start == GZIP else open(path, "rb")


def parse_line(line: str) -> Optional[Record]:
    """Return the object of a line of JSON or of a Python literal, which is never evaluated; None for any other line."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(line)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            return None
    return value if isinstance(value, dict) else None


def json_lines(path: PathLike, problems: Problems) -> Iterator[Record]:
    """Yield the objects of a file of lines. Bad lines and bytes that are not UTF-8 are counted.

    Raises:
        InputError: the file is missing or truncated, or none of its first 200 lines is an object.
    """
    good = bad = number = 0
    with open_bytes(path) as file:
        try:
            for number, raw in enumerate(file, start=1):
                line = _decoded(raw, path, number, problems).strip().removeprefix("\ufeff")
                if not line:
                    continue
                record = parse_line(line)
                if record is None:
                    bad += 1
                    problems.add("bad line", f"{path}:{number}", line)
                    if not good and bad == MAX_BAD:
                        break
                    continue
                good += 1
                repaired = replace_lone_surrogates(record, line)
                if repaired is not record:
                    problems.add("lone surrogate", f"{path}:{number}", line)
                yield repaired
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path} is truncated after line {number} ({error}); fetch it again") from None
    if bad and not good:
        example = problems.examples[-1]["found"][:80]
        raise InputError(
            f"{path}: expected a JSON object (or a Python literal of one) per line; found {example!r}, ..."
        )


def _decoded(raw: bytes, path: PathLike, number: int, problems: Problems, errors: str = "replace") -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        problems.add("not UTF-8", f"{path}:{number}", raw[:100].decode("utf-8", errors))
        return raw.decode("utf-8", errors)


def csv_rows(path: PathLike, problems: Problems, columns: Optional[Sequence[str]] = None) -> Iterator[Record]:
    """Yield the rows of a CSV file as strings. Rows of another width and bytes that are not UTF-8 are counted.

    Such bytes are escaped, as ``\\xe9``, so that different ids stay different.

    Args:
        path: the file. Columns are separated by the most frequent of tab, comma, semicolon and ``|`` in the first line.
        problems: counts bad rows.
        columns: names of the columns of a file without a header; None: its first line has them.

    Raises:
        InputError: the file is missing or empty, a quoted field does not end, or the first line has another number of columns.
    """
    with open_bytes(path) as file:
        lines = (_decoded(raw, path, n, problems, "backslashreplace") for n, raw in enumerate(file, start=1))
        header = next(lines, "").removeprefix("\ufeff")
        if not header.strip():
            raise InputError(f"{path} is empty: expected a header line with the names of the columns")
        separator = max("\t,;|", key=header.count)
        if separator == "\t":  # no quoting; only the line's end in the file ends a row, not a carriage return inside
            lines = (line.rstrip("\r\n").replace("\r", " ") for line in lines)
            reader = csv.reader(chain([header.rstrip("\r\n")], lines), delimiter=separator, quoting=csv.QUOTE_NONE)
        else:
            reader = csv.reader(chain([header], lines), delimiter=separator)
        try:
            first = next(reader)
            names = list(columns or first)
            if len(names) != len(first):
                raise InputError(
                    f"{path}: --columns names {len(names)} columns, its first line has {len(first)}: {header.strip()[:80]!r}"
                )
            for row in chain([first], reader) if columns else reader:
                if len(row) == len(names):
                    yield dict(zip(names, row))
                elif row:
                    problems.add("bad line", f"{path}:{reader.line_num}", separator.join(row))
        except csv.Error as error:
            raise InputError(
                f"{path}, line {reader.line_num}: {error}; an earlier quotation mark may be open"
            ) from None


def parquet_rows(path: PathLike) -> Iterator[Record]:
    """Yield the rows of a Parquet file. Columns of bytes, in which some writers store text, are read as UTF-8.

    Raises:
        InputError: the file is missing or not a Parquet file.
    """
    import pyarrow
    import pyarrow.parquet as pq

    if not Path(path).is_file():
        raise InputError(f"{path} does not exist")
    try:
        file = pq.ParquetFile(path)
        binary = [field.name for field in file.schema_arrow if "binary" in str(field.type)]
        for batch in file.iter_batches(PARQUET_ROWS):
            for row in batch.to_pylist():
                yield {**row, **{name: _bytes_to_text(row[name]) for name in binary}}
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path} is not a Parquet file: {error}") from None


def _bytes_to_text(value: Any) -> Any:
    """Return a value, or a list of values, with bytes as text; invalid UTF-8 is escaped, so that ids stay different."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return [*map(_bytes_to_text, value)] if isinstance(value, list) else value


def is_table(path: PathLike) -> bool:
    """Return whether the name of a file is that of a table of text, such as CSV."""
    return str(path).lower().removesuffix(".gz").endswith((".csv", ".tsv", ".txt", ".inter", ".item"))


def read_records(path: PathLike, problems: Problems, columns: Optional[Sequence[str]] = None) -> Iterator[Record]:
    """Yield the records of a file whose name gives its format: Parquet, JSON lines, or a table of text.

    Args:
        path: the file.
        problems: counts bad records.
        columns: names of the columns of a table without a header; None: its first line has them.

    Raises:
        InputError: the name has another ending, or names of columns are given for a file that is no table of text.
    """
    if is_table(path):
        return csv_rows(path, problems, columns)
    name = str(path).lower().removesuffix(".gz")
    if columns:
        raise InputError(f"{path}: --columns names the columns of a CSV file without a header")
    if name.endswith((".parquet", ".pq")):
        return parquet_rows(path)
    if name.endswith((".json", ".jsonl", ".ndjson")):
        return json_lines(path, problems)
    raise InputError(
        f"{path}: expected a name that ends in .csv, .tsv, .jsonl, .json, .parquet, .inter or .item (or .gz)"
    )
