"""Ids of users and items: one form for the same id, whatever software wrote it."""

from decimal import Decimal
from typing import Any, Iterable, List, Optional

import numpy as np

from recbole_sda.errors import InputError

PADDING = "[PAD]"  # RecBole's own token for "no item"
MAX_EXACT = 2.0**53  # whole numbers from here on are not exact as floats: different ids would become one
BYTE_ORDER_MARK = "\ufeff"


def id_text(text: str) -> str:
    """Return an id that is a text: each run of white space becomes one blank, none stays at the ends, nor a byte order mark.

    Example:
        >>> id_text("\\ufeff B001  x\\r\\n")
        'B001 x'
    """
    return " ".join(text.strip(BYTE_ORDER_MARK).split())


def id_of(value: Any, where: str) -> str:
    """Return a value as an id.

    Args:
        value: a text, a whole number, a float that is a whole number (pandas makes floats of a column of numbers in which one is
            missing), or a text in UTF-8 as bytes; numpy's scalars too.
        where: file and line, or the like, for the message.

    Raises:
        InputError: the value is missing, is of another type, or is RecBole's padding token.

    Example:
        >>> [id_of(value, "x") for value in ("007", " a b ", 7, 7.0, b"a")]
        ['007', 'a b', '7', '7', 'a']
        >>> id_of(float("nan"), "items.jsonl, line 2")
        Traceback (most recent call last):
        recbole_sda.errors.InputError: items.jsonl, line 2: an id is missing
    """
    text = optional_id(value, where)
    if text is None:
        raise InputError(f"{where}: an id is missing")
    return text


def optional_id(value: Any, where: str) -> Optional[str]:
    """Return a value as an id, see :func:`id_of`; None where it is missing: None, NaN, or a text without characters."""
    if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.timedelta64)):
        value = value.item()
    if isinstance(value, bytes):
        value = _decoded(value, where)
    if isinstance(value, str):
        text = id_text(value)
    elif is_missing(value):
        return None
    elif isinstance(value, int) and not isinstance(value, bool) or _is_whole(value):
        text = str(int(value))
    else:
        shown = str(value)[:80]
        raise InputError(f"{where}: {shown} is no id: expected a text or a whole number, found {_kind(value)}")
    if "\0" in text:
        raise InputError(f"{where}: {text[:80]!r} is no id: it has a NUL character")
    if text == PADDING:
        raise InputError(f"{where}: the id {PADDING} stands for no item in RecBole; rename it, or leave it out")
    return text or None


def ids_of(values: Iterable[Any], where: str) -> List[str]:
    """Return values as ids, see :func:`id_of`; the message of an error also names the position, from 1."""
    return [id_of(value, f"{where}, row {row}") for row, value in enumerate(values, start=1)]


def is_missing(value: Any) -> bool:
    """Return whether a value from JSON or a table means that there is none: None, NaN, NaT or pandas' NA."""
    is_number = isinstance(value, (float, Decimal))
    return value is None or type(value).__name__ in ("NAType", "NaTType") or (is_number and value != value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (float, Decimal)) and abs(float(value)) < MAX_EXACT and value == int(value)


def _decoded(value: bytes, where: str) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{where}: {value[:80]!r} is no id: it is not text in UTF-8") from None


def _kind(value: Any) -> str:
    if not isinstance(value, (float, Decimal)):
        return f"a value of type {type(value).__name__}"
    return "a number that is not whole" if value % 1 else "a number that is too large to be exact as a float"
