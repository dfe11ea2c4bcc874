"""Interactions in columns of numbers: ten million of them take some hundred megabytes."""

import math
from array import array
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Dict, Iterable, List, Optional, Tuple

import numpy as np

from dataset_prep.problems import Problems
from recbole_sda.errors import InputError


@dataclass(frozen=True)
class Interactions:
    """Who had what when.

    Attributes:
        user, item: numbers into ``users`` and ``items``, (n,), int32.
        rating: (n,), float32; NaN where there is none.
        time: seconds and their fractions, or whatever orders a user's interactions, (n,), float64.
        users, items: external tokens.
    """

    user: np.ndarray
    item: np.ndarray
    rating: np.ndarray
    time: np.ndarray
    users: List[str]
    items: List[str]

    def __len__(self) -> int:
        return len(self.user)

    def take(self, chosen: np.ndarray) -> "Interactions":
        """Return some interactions, by a mask or by positions in a new order; names stay."""
        columns = {name: getattr(self, name)[chosen] for name in ("user", "item", "rating", "time")}
        return replace(self, **columns)

    def counts(self) -> Dict[str, int]:
        """Return the numbers of users and items that occur, and of interactions."""
        return {
            "users": int((np.bincount(self.user, minlength=1) > 0).sum()),
            "items": int((np.bincount(self.item, minlength=1) > 0).sum()),
            "interactions": len(self),
        }

    def ordered(self) -> "Interactions":
        """Return them user by user in the order of the users' tokens, in time, ties as they were."""
        rank = np.empty(len(self.users), dtype=np.int64)
        rank[np.array(sorted(range(len(self.users)), key=self.users.__getitem__), dtype=np.int64)] = np.arange(
            len(self.users)
        )
        return self.take(np.lexsort((self.time, rank[self.user])))

    def used_items(self) -> List[int]:
        """Return the numbers of the items that occur, in the order of their tokens."""
        return sorted(np.unique(self.item).tolist(), key=self.items.__getitem__)


Row = Tuple[str, str, Optional[float], float]


def collect(rows: Iterable[Row]) -> Interactions:
    """Read (user, item, rating or None, time) into columns."""
    user_of: Dict[str, int] = {}
    item_of: Dict[str, int] = {}
    user, item, rating, time = array("i"), array("i"), array("f"), array("d")
    for u, i, r, t in rows:
        user.append(user_of.setdefault(u, len(user_of)))
        item.append(item_of.setdefault(i, len(item_of)))
        rating.append(float("nan") if r is None else r)
        time.append(t)
    columns = [np.frombuffer(a, dtype=d) if len(a) else np.empty(0, d) for a, d in _typed(user, item, rating, time)]
    return Interactions(*columns, list(user_of), list(item_of))


def _typed(*arrays: array):
    return zip(arrays, (np.int32, np.int32, np.float32, np.float64))


def pick(
    records: Iterable[dict], fields: Dict[str, str], path, problems: Problems, per_second: int = 1
) -> Iterable[Row]:
    """Yield the rows of records, those without a user, an item or a time counted.

    Args:
        records: the file's.
        fields: names of ``user``, ``item`` and, optionally, ``time`` (else the order of the records) and ``rating``.
        path: of the file, for messages.
        problems: where broken records are counted.
        per_second: units of the file's time in a second: 1000 for milliseconds.

    Raises:
        InputError: the first records have none of the fields.
    """
    good = 0
    record: dict = {}
    for number, record in enumerate(records, start=1):
        row = _row(record, fields, per_second, number)
        if row is not None:
            good += 1
            yield row
            continue
        problems.add("incomplete interaction", f"{path}, record {number}", str(record))
        if not good and number == 200:
            break
    if not good:
        wanted = ", ".join(fields.values())
        found = ", ".join(map(str, record)) or "no record at all"
        raise InputError(f"{path}: expected records with {wanted}; found {found}")


def _row(record: dict, fields: Dict[str, str], per_second: int, number: int) -> Optional[Row]:
    user, item = record.get(fields["user"]), record.get(fields["item"])
    if user is None or item is None or not (token(user) and token(item)):
        return None
    try:
        time = seconds(record[fields["time"]], per_second) if fields.get("time") else number
        rating = record.get(fields["rating"]) if fields.get("rating") else None
        return token(user), token(item), None if rating in (None, "") else float(rating), time
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def seconds(value, per_second: int = 1) -> float:
    """Return a time, a number or an ISO date such as 2014-05-01 or 2014-05-01T10:00:00 (UTC), in seconds.

    Raises:
        ValueError: it is neither.
    """
    try:
        time = float(value) / per_second
    except (TypeError, ValueError):
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        time = (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()
    if not math.isfinite(time):
        raise ValueError(f"{value!r} is no time")
    return int(time) if time.is_integer() else time


def token(value) -> str:
    """Return an id as a token: no white space at its ends, none but blanks inside; whole floats as whole numbers."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join(str(value).split())
