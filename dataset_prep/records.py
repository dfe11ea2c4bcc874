"""Records from files, one at a time: JSON lines, the Python literals of Amazon 2014, CSV, Parquet; plain or gzipped."""

import ast
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Sequence, Union

from dataset_prep.csv_file import csv_rows
from dataset_prep.problems import Problems
from dataset_prep.raw_file import decoded, lines_of, open_bytes
from recbole_sda.errors import InputError
from recbole_sda.io.json import RefusedJSON, parse_json
from recbole_sda.io.parquet import open_parquet
from recbole_sda.io.text import replace_lone_surrogates

MAX_BAD = 200  # a file whose first lines are all bad has another format
PARQUET_ROWS = 65_536  # read at once

PathLike = Union[str, Path]
Record = Dict[str, Any]


def parse_line(line: str) -> Optional[Record]:
    """Return the object of a line of JSON or of a Python literal, which is never evaluated; None for any other line."""
    try:
        value = parse_json(line, "line", missing_numbers=True)
    except RefusedJSON:  # JSON, which would be read in silence as a Python literal too
        return None
    except InputError:
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
        for number, raw in enumerate(lines_of(file, path), start=1):
            line = decoded(raw, path, number, problems).strip().removeprefix("\ufeff")
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
    if bad and not good:
        example = problems.examples[-1]["found"][:80]
        raise InputError(
            f"{path}: expected a JSON object (or a Python literal of one) per line; found {example!r}, ..."
        )


def parquet_rows(path: PathLike) -> Iterator[Record]:
    """Yield the rows of a Parquet file. Columns of bytes, in which some writers store text, are read as UTF-8.

    Raises:
        InputError: the file is missing or not a Parquet file.
    """
    with open_parquet(path) as file:
        binary = [field.name for field in file.schema_arrow if "binary" in str(field.type)]
        for batch in file.iter_batches(PARQUET_ROWS):
            for row in batch.to_pylist():
                yield {**row, **{name: _bytes_to_text(row[name]) for name in binary}}


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
