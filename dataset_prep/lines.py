"""Records from files, one after the other: JSON lines, the Python literals of Amazon 2014, CSV, Parquet; plain or gzipped."""

import ast
import csv
import gzip
import io
import json
import zlib
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterator, Optional

from dataset_prep.problems import Problems
from recbole_sda.errors import InputError
from recbole_sda.io.text import replace_lone_surrogates

GZIP = b"\x1f\x8b"
PATIENCE = 200  # a file whose first lines are all bad is not what it should be
ROWS = 65_536  # of a Parquet file read at once

Record = Dict[str, Any]


def open_plain(path) -> BinaryIO:
    """Open a file for reading bytes, unpacked if it is gzipped, whatever its name says.

    Raises:
        InputError: the file does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    with open(path, "rb") as file:
        start = file.read(2)
    return io.BufferedReader(gzip.open(path, "rb"), 1 << 20) if start == GZIP else open(path, "rb")  # type: ignore[arg-type]


def parse_line(line: str) -> Optional[Record]:
    """Return the object of a line, JSON or a Python literal, which is read and never evaluated; None if it is neither."""
    try:
        found = json.loads(line)
    except ValueError:
        try:
            found = ast.literal_eval(line)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            return None
    return found if isinstance(found, dict) else None


def json_lines(path, problems: Problems) -> Iterator[Record]:
    """Yield the objects of a file of lines; bad lines and bytes that are not UTF-8 are counted.

    Raises:
        InputError: the file is missing, breaks off, or none of its first lines is an object.
    """
    good = bad = number = 0
    with open_plain(path) as file:
        try:
            for number, raw in enumerate(file, start=1):
                line = _decoded(raw, path, number, problems).strip()
                if not line:
                    continue
                record = parse_line(line)
                if record is None:
                    bad += 1
                    problems.add("bad line", f"{path}:{number}", line)
                    if not good and bad == PATIENCE:
                        break
                    continue
                good += 1
                mended = replace_lone_surrogates(record, line)
                if mended is not record:
                    problems.add("half a character", f"{path}:{number}", line)
                yield mended
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path} breaks off after line {number} ({error}); fetch it again") from None
    if bad and not good:
        found = problems.examples[-1]["found"][:80]
        raise InputError(f"{path}: expected a JSON object (or a Python literal of one) per line; found {found!r}, ...")


def _decoded(raw: bytes, path, number: int, problems: Problems, errors: str = "replace") -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        problems.add("not UTF-8", f"{path}:{number}", raw[:100].decode("utf-8", errors))
        return raw.decode("utf-8", errors)


def csv_rows(path, problems: Problems, delimiter: Optional[str] = None) -> Iterator[Record]:
    """Yield the rows of a CSV file with a header, as strings; rows of another width and bytes that are not UTF-8 are counted.

    Such bytes are written out, as ``\\xe9``, so that different ids stay different.

    Args:
        path: the file; ``.tsv`` and RecBole's atomic files are split at tabs, others as the header suggests.
        problems: where bad rows are counted.
        delimiter: overrides the guess.

    Raises:
        InputError: the file is missing or empty, or a field does not end.
    """
    with open_plain(path) as file:
        text = (_decoded(raw, path, n, problems, "backslashreplace") for n, raw in enumerate(file, start=1))
        header = next(text, "").removeprefix("\ufeff")
        if not header.strip():
            raise InputError(f"{path} is empty: expected a header line with the names of the columns")
        mark = delimiter or max("\t,;|", key=header.count)
        quoting = csv.QUOTE_NONE if mark == "\t" else csv.QUOTE_MINIMAL
        if mark == "\t":  # a line ends where the file's does, and not at a carriage return inside
            text = (line.rstrip("\r\n").replace("\r", " ") for line in text)
        reader = csv.reader(chain([header], text), delimiter=mark, quoting=quoting)
        try:
            names = next(reader)
            for row in reader:
                if len(row) == len(names):
                    yield dict(zip(names, row))
                elif row:
                    problems.add("bad line", f"{path}:{reader.line_num}", mark.join(row))
        except csv.Error as error:
            raise InputError(
                f"{path}, line {reader.line_num}: {error}; is a quotation mark before it not closed?"
            ) from None


def parquet_rows(path) -> Iterator[Record]:
    """Yield the rows of a Parquet file; bytes, as which some writers keep text, are read as UTF-8."""
    import pyarrow
    import pyarrow.parquet as pq

    if not Path(path).is_file():
        raise InputError(f"{path} does not exist")
    try:
        file = pq.ParquetFile(path)
        raw = [field.name for field in file.schema_arrow if "binary" in str(field.type)]
        for batch in file.iter_batches(ROWS):
            for row in batch.to_pylist():
                yield {**row, **{name: _text(row[name]) for name in raw}}
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path} is not a Parquet file: {error}") from None


def _text(value: Any) -> Any:
    """Return a value with its bytes as text; those that are not UTF-8 are written out, so that different ids stay different."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return [*map(_text, value)] if isinstance(value, list) else value


def records(path, problems: Problems) -> Iterator[Record]:
    """Yield the records of a file, read by what its name says it is: Parquet, JSON lines, or a table with a header."""
    name = str(path).lower().removesuffix(".gz")
    if name.endswith((".parquet", ".pq")):
        return parquet_rows(path)
    if name.endswith((".json", ".jsonl", ".ndjson")):
        return json_lines(path, problems)
    if name.endswith((".csv", ".tsv", ".txt", ".inter", ".item")):
        return csv_rows(path, problems)
    raise InputError(
        f"{path}: expected a name that ends in .csv, .tsv, .jsonl, .json, .parquet, .inter or .item (or .gz)"
    )
