"""Forms of the values that RecBole's keys take; each form returns a value as RecBole reads it, or refuses it.

A form is a function of a key and a value. RecBole itself takes most values unchecked, and leaves out what it does not know.
"""

import re
from math import inf
from typing import Any, Callable, Dict, List, Optional

from recbole_sda.errors import InputError, nearest
from recbole_sda.validation import Range, check_choice

Form = Callable[[str, Any], Any]

_INTERVAL = re.compile(r"^\s*([(\[])\s*([^,\s]+)\s*,\s*([^,\s]+)\s*([)\]])\s*$")


def anything(_key: str, value: Any) -> Any:
    """Return a value that another check covers."""
    return value


def refused(reason: str) -> Form:
    """Return the form of a key that only takes an empty value or False."""

    def check(key: str, value: Any) -> Any:
        if value:
            raise InputError(f"{key}={value}: {reason}")
        return value

    return check


def flag(key: str, value: Any) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        raise InputError(f"{key}={value!r}: expected True or False")
    return value


def whole(allowed: Range) -> Form:
    """Return the form of whole numbers in a range."""
    return lambda key, value: allowed.check(key, value, whole=True)


def number(allowed: Range) -> Form:
    """Return the form of numbers in a range."""
    return lambda key, value: allowed.check(key, value)


def text(key: str, value: Any) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise InputError(f"{key}={value!r}: expected a text")
    return value


def one_of(*choices: str) -> Form:
    """Return the form of one of some words."""
    return lambda key, value: check_choice(key, value, choices)


def words(key: str, value: Any) -> List[str]:
    """Return a list of words; one word is a list of one.

    Example:
        >>> words("alias_of_item_id", "item_id_list")
        ['item_id_list']
    """
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)) or not all(isinstance(word, str) and word for word in values):
        raise InputError(f"{key}={value!r}: expected a list of names, as [a, b]")
    return list(values)


def all_or_words(key: str, value: Any) -> Any:
    """Return ``*``, which stands for all, or a list of words."""
    return value if value == "*" else words(key, value)


def three_parts(key: str, value: Any) -> List[str]:
    """Return the names of the training, validation and test part."""
    parts = words(key, value)
    if len(parts) != 3:
        raise InputError(f"{key}={value!r}: expected the names of three parts, as [train, valid, test]")
    return parts


def intervals(key: str, value: Any) -> str:
    """Return intervals as RecBole writes them, ``[A,B]``, ``[A,B)``, ``(A,B]`` or ``(A,B)``, several separated by semicolons.

    Two numbers in a list are the closed interval between them.

    Example:
        >>> intervals("user_inter_num_interval", "[5,inf)"), intervals("user_inter_num_interval", [5, 10])
        ('[5,inf)', '[5,10]')
    """
    given = value
    if isinstance(value, (list, tuple)) and len(value) == 2:
        value = f"[{value[0]},{value[1]}]"
    parts = value.split(";") if isinstance(value, str) else []
    if not parts or not all(map(_is_interval, parts)):
        raise InputError(
            f"{key}={given!r}: expected an interval such as '[5,inf)' or '(0,10]'; several are separated by ;"
        )
    return ";".join(part.replace(" ", "") for part in parts)


def _is_interval(part: str) -> bool:
    found = _INTERVAL.match(part)
    try:
        return found is not None and -inf <= float(found[2]) <= float(found[3])
    except ValueError:
        return False


def intervals_or_words(key: str, value: Any) -> Any:
    """Return intervals of a column of numbers, or the list of values to keep of a column of ids.

    Two numbers in a list can be either; the type of the column decides (:mod:`recbole_sda.data.field_keys`).
    """
    if isinstance(value, (list, tuple)):
        return words(key, [str(part) for part in value])
    return intervals(key, value)


def mapping(of: Form, form: str, single: bool = False) -> Form:
    """Return the form of a dict from names, such as those of columns, to values of another form.

    Args:
        of: form of the values.
        form: an example, for messages.
        single: whether there must be exactly one entry.
    """

    def check(key: str, value: Any) -> Dict[str, Any]:
        if not isinstance(value, dict) or not value or (single and len(value) > 1):
            raise InputError(f"{key}={value!r}: expected {'one name' if single else 'names'} with a value, as {form}")
        return {text(f"{key}: a name", name): of(f"{key}: {name}", part) for name, part in value.items()}

    return check


def record(parts: Dict[str, Form], needed: Optional[str] = None) -> Form:
    """Return the form of a dict whose keys are known.

    Args:
        parts: form of each key.
        needed: key that must be there.
    """
    known = ", ".join(parts)

    def check(key: str, value: Any) -> Dict[str, Any]:
        if not isinstance(value, dict):
            raise InputError(
                f"{key}={value!r}: expected keys with values, of {known}, as {{{needed or next(iter(parts))}: ...}}"
            )
        for name in value:
            if name not in parts:
                raise InputError(f"{key}: unknown key {name!r}; allowed are {known}.{nearest(str(name), parts)}")
        if needed is not None and value.get(needed) is None:
            raise InputError(f"{key}={value!r}: {needed} is missing")
        return {name: parts[name](f"{key}: {name}", part) for name, part in value.items()}

    return check
