"""From records of a file to rows of interactions: ids as tokens, times in seconds, ratings as numbers."""

from math import isfinite
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Mapping, Optional, Union

from dataset_prep.interactions import Row
from dataset_prep.problems import Problems
from dataset_prep.times import seconds
from recbole_sda.errors import InputError
from recbole_sda.io.ids import is_missing, optional_id

MAX_BAD = 200  # a file whose first records are all incomplete has other fields


def parse_rows(
    records: Iterable[Dict[str, Any]],
    fields: Mapping[str, str],
    path: Union[str, Path],
    problems: Problems,
    per_second: int = 1,
) -> Iterator[Row]:
    """Yield the rows of records. Those without a user, an item or a time are left out and counted.

    Args:
        records: of the file.
        fields: names of ``user`` and ``item``; optionally of ``time``, which else is the number of the record, and of
            ``rating``.
        path: of the file, for messages.
        problems: counts incomplete records.
        per_second: units of the file's time in a second: 1000 for milliseconds.

    Raises:
        InputError: the first 200 records are all incomplete, or there are no others; or an id is none, such as a list.
    """
    good = 0
    record: Dict[str, Any] = {}
    for number, record in enumerate(records, start=1):
        row = _row(record, fields, per_second, number, f"{path}, record {number}")
        if row is not None:
            good += 1
            yield row
            continue
        problems.add("incomplete interaction", f"{path}, record {number}", str(record))
        if not good and number == MAX_BAD:
            break
    if not good:
        expected = ", ".join(fields.values())
        names = ", ".join(map(str, record)) or "no record at all"
        raise InputError(f"{path}: expected records with {expected}; found {names}")


def _row(
    record: Mapping[str, Any], fields: Mapping[str, str], per_second: int, number: int, where: str
) -> Optional[Row]:
    for key in ("user", "item"):
        if "\n" in str(record.get(fields[key])).strip():
            raise InputError(f"{where}, {fields[key]}: an id of several lines; a quotation mark may be stray")
    user, item = (optional_id(record.get(fields[key]), f"{where}, {fields[key]}") for key in ("user", "item"))
    if user is None or item is None:
        return None
    try:
        time = seconds(record[fields["time"]], per_second) if fields.get("time") else number
        rating = record.get(fields["rating"]) if fields.get("rating") else None
        return user, item, None if rating is None or is_missing(rating) or rating == "" else _finite(rating), time
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _finite(rating: Any) -> float:
    value = float(rating)
    if not isfinite(value):
        raise ValueError(f"{rating!r} is no rating")
    return value
