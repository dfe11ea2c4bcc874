"""Checks of values that users give: numbers in a range, choices, typed fields, names of packaged YAML files.

Every check returns the value in its final type, or raises an :class:`~recbole_sda.errors.InputError` that names the key, the
value and what is allowed.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Collection, Dict, Mapping, Optional, Type, TypeVar, Union, get_args, get_origin, get_type_hints

from recbole_sda.errors import InputError, nearest
from recbole_sda.io.yaml import properties_dir

Settings = TypeVar("Settings")

LARGEST, LARGEST_WHOLE = 1e300, 2**63  # in size, of any number: as floats, and in 64 bits


@dataclass(frozen=True)
class Range:
    """The numbers that a key accepts.

    Attributes:
        low: lower bound; None: no bound.
        high: upper bound; None: no bound.
        closed_low: whether ``low`` itself is allowed.
        closed_high: whether ``high`` itself is allowed.

    Example:
        >>> Range(0, 1).check("dropout", 0.5)
        0.5
        >>> Range(1).check("epochs", 3, whole=True)
        3
        >>> Range(0, 1).check("dropout", 1)
        Traceback (most recent call last):
        recbole_sda.errors.InputError: dropout=1: expected a number at least 0 and below 1
    """

    low: Optional[float] = None
    high: Optional[float] = None
    closed_low: bool = True
    closed_high: bool = False

    def __contains__(self, value: float) -> bool:
        if self.low is not None and not (value > self.low or (self.closed_low and value == self.low)):
            return False
        return self.high is None or value < self.high or (self.closed_high and value == self.high)

    def __str__(self) -> str:
        lower = "" if self.low is None else f"{'at least' if self.closed_low else 'above'} {self.low}"
        upper = "" if self.high is None else f"{'at most' if self.closed_high else 'below'} {self.high}"
        return " and ".join(part for part in (lower, upper) if part)

    def check(self, key: str, value: Any, whole: bool = False) -> Any:
        """Return ``value`` as a float, or as an int where ``whole`` numbers are asked for.

        Raises:
            InputError: it is not a number of this range.
        """
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        large = is_number and not abs(value) < (LARGEST_WHOLE if whole else LARGEST)  # or NaN
        if not is_number or large or (whole and not float(value).is_integer()) or value not in self:
            if whole:
                kind = "a whole number of 64 bits" if large else "a whole number"
            else:
                kind = "a finite number" if large else "a number"
            shown = (
                "a number of more than 100 digits" if isinstance(value, int) and abs(value) > 10**100 else repr(value)
            )
            raise InputError(f"{key}={shown}: expected {' '.join(part for part in (kind, str(self)) if part)}")
        return int(value) if whole else float(value)


ANY = Range()
POSITIVE = Range(0, closed_low=False)
NOT_NEGATIVE = Range(0)
AT_LEAST_ONE = Range(1)
SHARE = Range(0, 1)  # a probability below 1


def check_choice(key: str, value: Any, choices: Collection[str]) -> str:
    """Return ``value`` if it is one of ``choices``.

    Raises:
        InputError: it is not; the message suggests the nearest choice.
    """
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{key}={value!r}: allowed are {', '.join(choices)}.{nearest(str(value), choices)}")
    return str(value)


def check_bool(key: str, value: Any) -> bool:
    """Return ``value`` if it is True or False; anything else is an InputError."""
    if not isinstance(value, bool):
        raise InputError(f"{key}={value!r}: expected true or false")
    return value


def check_settings(
    kind: Type[Settings], values: Any, ranges: Mapping[str, Range], choices: Mapping[str, Collection[str]]
) -> Settings:
    """Make a dataclass of settings whose fields are keys of a configuration.

    A field's annotation decides what is accepted: bool, int, float, str, ``Dict[str, int]``, ``Dict[str, str]``,
    ``Tuple[str, ...]`` or ``Tuple[int, ...]`` (a single value is a tuple of one), or one of these as Optional.
    ``Union[Tuple[int, ...], str, None]`` also accepts a text.

    Args:
        kind: the dataclass.
        values: maps the name of each field to its value, by ``values[name]``.
        ranges: field -> allowed numbers; a field that is missing here has no bounds.
        choices: field -> allowed texts.

    Raises:
        InputError: a value has the wrong type, is out of range or is not among the choices.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # mypy has no type for "any dataclass"
    return kind(
        **{name: _checked(name, hints[name], values[name], ranges.get(name, ANY), choices.get(name)) for name in names}
    )


def _checked(key: str, hint: Any, value: Any, allowed: Range, choices: Optional[Collection[str]]) -> Any:
    optional = get_origin(hint) is Union
    if optional:
        parts = [part for part in get_args(hint) if part is not type(None)]
        hint = str if str in parts and isinstance(value, str) else parts[0]
    if value is None:
        if optional:
            return None
        raise InputError(f"{key} is empty: a value is needed")
    if choices is not None:
        return check_choice(key, value, choices)
    if hint is bool:
        return check_bool(key, value)
    if hint in (int, float):
        return allowed.check(key, value, whole=hint is int)
    if hint is str:
        return _text(key, value)
    if get_origin(hint) is tuple:
        return _whole_numbers(key, value, allowed) if get_args(hint)[0] is int else _texts(key, value)
    return _word_limits(key, value) if get_args(hint)[1] is int else _named_texts(key, value)


def _named_texts(key: str, value: Any) -> Dict[str, str]:
    if not isinstance(value, dict):
        raise InputError(f"{key}={value!r}: expected names with texts, as in {{project: shop}}")
    return {str(name): _text(f"{key}: {name}", text) for name, text in value.items()}


def _text(key: str, value: Any) -> str:
    if isinstance(value, (dict, list)):
        raise InputError(f"{key}={value!r}: expected a text; in a YAML file, put it in quotes")
    return str(value)


def _texts(key: str, value: Any) -> tuple:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)):
        raise InputError(f"{key}={value!r}: expected a list")
    return tuple(str(part) for part in values)


def _whole_numbers(key: str, value: Any, allowed: Range) -> tuple:
    values = value if isinstance(value, (list, tuple)) else [value]
    if not values:
        raise InputError(f"{key}={value!r}: expected a list of at least one whole number")
    return tuple(allowed.check(key, number, whole=True) for number in values)


def _word_limits(key: str, value: Any) -> Dict[str, int]:
    if not (isinstance(value, dict) and all(isinstance(n, int) and n > 0 for n in value.values())):
        raise InputError(f"{key}={value!r}: expected field: words, as in {{description: 100}}")
    return {str(field): n for field, n in value.items()}


def properties_names(folder: str) -> list:
    """Return the names of the YAML files in a folder of properties/, in alphabetical order."""
    return sorted(path.stem for path in (properties_dir() / folder).glob("*.yaml"))


def properties_file(key: str, name: Any, folder: str) -> Path:
    """Return the file that a packaged name stands for, ``properties/<folder>/<name>.yaml``.

    Raises:
        InputError: there is no such file; the message names ``key``, lists the names and suggests the nearest one.
    """
    known = properties_names(folder)
    if name not in known:
        raise InputError(f"{key}={name!r}: there is {', '.join(known)}.{nearest(str(name), known)}")
    return properties_dir() / folder / f"{name}.yaml"


def file_or_properties_file(key: str, name: str, folder: str) -> Path:
    """Return a file: ``name`` itself where it is the path of one, else the file of ``properties/<folder>/`` of this name.

    Raises:
        InputError: it is neither; the message names ``key`` and lists the packaged names.
    """
    if Path(name).is_file():
        return Path(name)
    known = properties_names(folder)
    if name not in known:
        raise InputError(f"{key}={name}: neither a file nor one of {', '.join(known)}.{nearest(name, known)}")
    return properties_dir() / folder / f"{name}.yaml"
