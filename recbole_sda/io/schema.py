"""Keys and types of artefacts: what a file that is read again must hold."""

from math import isfinite
from typing import Any

from recbole_sda.errors import InputError

Shape = Any  # see check_shape
NUMBER = (int, float)
COUNT = "count"  # a whole number, at least 0
MAYBE_NAN = "number or NaN"
ANYTHING = object
NAMES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def check_shape(value: Any, shape: Shape, where: str) -> Any:
    """Return ``value`` if it has a shape.

    Args:
        value: plain data. Whole numbers are those of 64 bits.
        shape: a type, or a tuple of types of which one is enough; None in a tuple, also with one of the following, allows null.
            ``COUNT`` is a whole number of at least 0, ``MAYBE_NAN`` a number or NaN. ``[shape]`` is a list, ``{str: shape}`` an
            object with any keys, and ``{"key": shape}`` an object with these keys, and possibly others; a key that ends in ``?``
            may be missing.
        where: the file, and the place in it, for messages.

    Raises:
        InputError: the value has another shape; the message names the place.

    Example:
        >>> check_shape({"epoch": 3}, {"epoch": COUNT, "loss?": (int, float)}, "last.pt")
        {'epoch': 3}
        >>> check_shape({"epoch": "x"}, {"epoch": COUNT}, "last.pt")
        Traceback (most recent call last):
        recbole_sda.errors.InputError: last.pt: epoch: 'x': expected a whole number, at least 0
    """
    if isinstance(shape, tuple) and any(isinstance(kind, (dict, list, str)) for kind in shape):
        if value is not None or None not in shape:
            check_shape(value, next(kind for kind in shape if kind is not None), where)
    elif isinstance(shape, tuple):
        if not any(_is(value, kind) for kind in shape):
            _refuse(value, " or ".join(NAMES.get(k, "null" if k is None else k.__name__) for k in shape), where)
    elif isinstance(shape, list):
        for number, part in enumerate(check_shape(value, list, where), start=1):
            check_shape(part, shape[0], f"{where}, entry {number}")
    elif isinstance(shape, dict):
        _check_keys(check_shape(value, dict, where), shape, where)
    elif shape == COUNT:
        if not _is(value, int) or value < 0:
            _refuse(value, "a whole number, at least 0", where)
    elif shape == MAYBE_NAN:
        if not (_is(value, int) or _is(value, float) or value != value):
            _refuse(value, "a number", where)
    elif not _is(value, shape):
        _refuse(value, NAMES.get(shape, getattr(shape, "__name__", "")), where)
    return value


def _check_keys(value: dict, shape: dict, where: str) -> None:
    if set(shape) == {str}:
        for key, part in value.items():
            if not isinstance(key, str):
                _refuse(key, "a text as a key", where)
            check_shape(part, shape[str], f"{where}: {key}")
        return
    for name, part in shape.items():
        key = name.removesuffix("?")
        if key in value:
            check_shape(value[key], part, f"{where}: {key}")
        elif key == name:
            raise InputError(f"{where} lacks {key!r}")


def _is(value: Any, kind: Any) -> bool:
    if kind is None:
        return value is None
    if kind in (int, float):
        bounded = abs(value) < 2**63 if isinstance(value, int) else isinstance(value, float) and isfinite(value)
        return isinstance(value, kind) and not isinstance(value, bool) and bounded
    return isinstance(value, kind)


def _refuse(value: Any, expected: str, where: str) -> None:
    shown = repr(value) if isinstance(value, (str, int, float, bool, type(None))) else f"a {type(value).__name__}"
    raise InputError(f"{where}: {shown[:80]}: expected {expected}")
