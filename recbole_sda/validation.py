"""Checks of values that users give."""

from typing import Any, Optional

from recbole_sda.errors import InputError


def checked_number(key: str, value: Any, low: float, allowed: bool, high: Optional[float], whole: bool = False):
    """Return ``value`` as an int (``whole``) or float.

    Raises:
        InputError: it is no number, below ``low``, at it where that is not ``allowed``, or not below ``high``.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not value >= low or (whole and not float(value).is_integer()) or (value == low and not allowed):
        inside = False
    else:
        inside = high is None or value < high
    if not inside:
        bound = f"{'at least' if allowed else 'above'} {low}" + ("" if high is None else f" and below {high}")
        raise InputError(f"{key}={value!r}: expected {'a whole number' if whole else 'a number'} {bound}")
    return int(value) if whole else float(value)
