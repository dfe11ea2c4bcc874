"""From records of a file to rows of interactions: ids as tokens, times in seconds, ratings as numbers."""

import math
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Mapping, Optional, Union

from dataset_prep.interactions import Row
from dataset_prep.problems import Problems
from recbole_sda.errors import InputError

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
        InputError: the first 200 records are all incomplete, or there are no others.
    """
    good = 0
    record: Dict[str, Any] = {}
    for number, record in enumerate(records, start=1):
        row = _row(record, fields, per_second, number)
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


def _row(record: Mapping[str, Any], fields: Mapping[str, str], per_second: int, number: int) -> Optional[Row]:
    user, item = record.get(fields["user"]), record.get(fields["item"])
    if user is None or item is None or not (token(user) and token(item)):
        return None
    try:
        time = seconds(record[fields["time"]], per_second) if fields.get("time") else number
        rating = record.get(fields["rating"]) if fields.get("rating") else None
        return token(user), token(item), None if rating is None or rating == "" else float(rating), time
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def seconds(value: Any, per_second: int = 1) -> float:
    """Return a time in seconds since 1970, without a fraction as an int.

    Args:
        value: a number, or an ISO date such as 2014-05-01 or 2014-05-01T10:00:00 (UTC).
        per_second: units of a number in a second.

    Raises:
        ValueError: the value is neither.
    """
    try:
        time = float(value) / per_second
    except (TypeError, ValueError):
        date = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        time = (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    if not math.isfinite(time):
        raise ValueError(f"{value!r} is not a time")
    return int(time) if time.is_integer() else time


def token(value: Any) -> str:
    """Return an id as a token: each run of white space is one blank, none at the ends; 3.0 becomes ``3``."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join(str(value).split())
