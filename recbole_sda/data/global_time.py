"""The split ``global_time``: two dates that are the same for all users divide the interactions."""

from datetime import datetime, timezone
from typing import Any, Sequence, Tuple

import numpy as np

from recbole_sda.config.split_checks import GLOBAL_TIME, time_point
from recbole_sda.errors import InputError

FIRST_DATE = 365 * 86400  # smaller times are positions in a sequence or other counts, but no dates in seconds


def boundaries(time: np.ndarray, value: Sequence[Any]) -> Tuple[float, float]:
    """Return the times at which validation and test begin.

    Args:
        time: of each interaction, (n,), float64.
        value: of ``global_time``: the two times, or the shares of training, validation and test. By shares, a boundary is the time
            of the first interaction after a share. Interactions of the same time are always in the same part.

    Raises:
        InputError: a given time is not within those of the data.

    Example:
        >>> boundaries(np.array([5.0, 1.0, 2.0, 3.0, 4.0]), [0.6, 0.2, 0.2])
        (4.0, 5.0)
    """
    ordered = np.sort(time)
    if len(value) == 3:
        cut = np.cumsum(value)[:2] / sum(value) * len(ordered)
        valid, test = (ordered[k] if k < len(ordered) else np.inf for k in np.round(cut, 6).astype(int))
        return float(valid), float(test)
    valid, test = (time_point(f"eval_args: {GLOBAL_TIME}", point) for point in value)
    if not ordered[0] < valid <= ordered[-1] or test > ordered[-1]:
        raise InputError(
            f"eval_args: {GLOBAL_TIME}={list(value)}: the data's times go from {moment(ordered[0])} to {moment(ordered[-1])}, and "
            "both times must be among them"
        )
    return valid, test


def part_by_time(time: np.ndarray, valid_from: float, test_from: float) -> np.ndarray:
    """Return the part of each interaction, (n,), int8: 0 before ``valid_from``, then 1, and from ``test_from`` on 2."""
    return (time >= valid_from).astype(np.int8) + (time >= test_from)


def moment(time: float) -> str:
    """Return a time as it is printed: a date, or the number where it is no date between 1971 and 2100 in seconds.

    Example:
        >>> moment(1398902400.0), moment(17.0)
        ('2014-05-01 00:00:00', '17')
    """
    if not FIRST_DATE <= time <= 4_102_444_800:
        return f"{time:g}"
    return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
