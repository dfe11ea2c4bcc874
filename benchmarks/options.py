"""Options of the benchmarks' command lines: each has a default, and its value has the default's type."""

from typing import Any, Collection, Dict, List

from recbole_sda.errors import InputError, nearest
from recbole_sda.validation import AT_LEAST_ONE, check_bool, check_choice


def take(keys: Dict[str, Any], **defaults: Any) -> List[Any]:
    """Remove options from the keys of a command line and return their values, or their defaults, in the given order.

    Numbers are whole and at least 1, lists have an element.

    Raises:
        InputError: a value has another type than the default or is out of range.

    Example:
        >>> take({"sizes": [5], "threads": 2}, out="runs/x", sizes=[10, 100])
        ['runs/x', [5]]
    """
    return [_checked(name, keys.pop(name, default), default) for name, default in defaults.items()]


def check_names(option: str, names: List[str], allowed: Collection[str]) -> None:
    """Refuse names that are not allowed."""
    for name in names:
        check_choice(option, name, allowed)


def check_none_left(keys: Dict[str, Any], known: Collection[str]) -> None:
    """Refuse what :func:`take` has left of the keys of a benchmark that passes none on."""
    for key in keys:
        raise InputError(f"--{key} is no option of this benchmark; it has --{', --'.join(known)}.{nearest(key, known)}")


def _checked(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        return check_bool(name, value)
    if isinstance(default, int):
        return AT_LEAST_ONE.check(name, value, whole=True)
    if isinstance(default, list):
        if not isinstance(value, list) or not value:
            raise InputError(f"{name}={value!r}: expected a list with an element, as {default!r}")
        return [_checked(name, element, default[0]) for element in value]
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name}={value!r}: expected a text, as {default!r}")
    return value
