"""Times of interactions: numbers or dates to seconds, and whether their unit is the one that was given."""

import logging
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Union

import numpy as np

from recbole_sda.errors import InputError

logger = logging.getLogger(__name__)

UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}  # in a second
LARGEST = 1e20  # in any unit
EARLIEST, LATEST = 1e8, 1e10  # seconds: the years 1973 and 2286, between which times are taken as they are


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
    if not abs(time) < LARGEST:  # or NaN
        raise ValueError(f"{value!r} is not a time")
    return int(time) if time.is_integer() else time


def check_unit(times: np.ndarray, unit: str, path: Union[str, Path], compared: bool) -> None:
    """Warn where times seem to be in another unit than the one that was given, or refuse them if they are compared with dates.

    Args:
        times: in seconds, as read with ``unit``, (n,).
        unit: one of ``UNITS``.
        path: of the file, for the message.
        compared: whether the user names dates that times are compared with.

    Raises:
        InputError: the unit seems to be another one and the times are compared with dates.
    """
    middle = float(np.median(times)) if len(times) else EARLIEST
    likely = next((name for name, n in UNITS.items() if EARLIEST <= middle * UNITS[unit] / n <= LATEST), unit)
    if likely == unit or (middle < EARLIEST and unit == "s"):  # small numbers may count anything
        return
    where = f"after the year {LATEST / 31_556_952 + 1970:.0f}" if middle > LATEST else "before the year 1974"
    message = (
        f"{path}: read in {unit}, half of the times are {where}; they seem to be in {likely}: give --time-unit {likely}"
    )
    if compared:
        raise InputError(f"{message} (--start, --end and --split-at are compared with them)")
    logger.warning("%s", message)
