"""JSON from files: one reader with bounds, that refuses what other readers take in silence."""

import json
from math import isfinite
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from recbole_sda.errors import InputError, one_line
from recbole_sda.io.regular_file import PathLike, read_text
from recbole_sda.io.schema import Shape, check_shape

MAX_DEPTH = 100  # of lists and objects in one another
MAX_DIGITS = 40  # of a whole number


class RefusedJSON(InputError):
    """JSON that Python would read, and that is refused here."""


def parse_json(text: str, where: str, missing_numbers: bool = False) -> Any:
    """Return the value of a JSON text.

    Args:
        text: the JSON.
        where: the file, and the line where it has several texts, for messages.
        missing_numbers: whether NaN is read, as pandas writes a missing value.

    Raises:
        InputError: it is not JSON, has a key twice, a number that is infinite or has more than 40 digits, half of a surrogate pair
            or is nested more than 100 times.

    Example:
        >>> parse_json('{"a": 1, "a": 2}', "metrics.json")
        Traceback (most recent call last):
        recbole_sda.io.json.RefusedJSON: metrics.json is not JSON (the key 'a' occurs twice)
    """

    def constant(name: str) -> float:
        if name == "NaN" and missing_numbers:
            return float(name)
        raise RefusedJSON(f"{name} is no finite number")

    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=constant, parse_int=_whole, parse_float=_finite
        )
        _check_depth(value)
    except RefusedJSON as error:
        raise RefusedJSON(f"{where} is not JSON ({error})") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else one_line(error)
        raise InputError(f"{where} is not JSON ({reason})") from None
    return value


def read_json(path: PathLike, shape: Shape = dict, remedy: str = "", missing_numbers: bool = False) -> Any:
    """Return the value of a JSON file that this package wrote.

    Args:
        path: of the file.
        shape: keys and types that it must have, see :func:`recbole_sda.io.schema.check_shape`.
        remedy: what to do about a damaged file, added to the message.
        missing_numbers: whether it may hold NaN.

    Raises:
        InputError: the file is missing, is no regular file, is not JSON in UTF-8, or has another shape.
    """
    tail = f"; {remedy}" if remedy else ""
    text = read_text(path)
    try:
        value = parse_json(text, str(path), missing_numbers)
        check_shape(value, shape, str(path))
        if "\\ud" in text.lower() or "\\u0000" in text:
            _check_characters(value, str(path))
    except InputError as error:
        raise InputError(f"{str(error).replace(' is not JSON', ' is damaged', 1)}{tail}") from None
    return value


def read_json_lines(path: Path, shape: Shape = dict, missing_numbers: bool = False) -> List[Dict[str, Any]]:
    """Return the objects of a JSON-lines file that is still being appended to.

    A last line without a line break, which an interrupted write leaves behind, is skipped. A missing file has no lines.

    Args:
        path: of the file.
        shape: keys and types of each line, see :func:`recbole_sda.io.schema.check_shape`.
        missing_numbers: whether they may hold NaN.

    Raises:
        InputError: the file is no regular file in UTF-8, or any other line is not JSON or has another shape.
    """
    if not path.exists():
        return []
    lines = []
    for number, line in enumerate(read_text(path).split("\n")[:-1], start=1):
        where = f"{path}, line {number}"
        try:
            value = parse_json(line, where, missing_numbers)
        except InputError as error:
            raise InputError(str(error).replace(" is not JSON", " is damaged", 1)) from None
        check_shape(value, shape, where)
        lines.append(value)
    return lines


def plain_numbers(value: Any, instead: Optional[float] = None) -> Any:
    """Return plain data with ``instead`` in place of each number that is not finite, for which JSON has no form.

    Example:
        >>> plain_numbers({"auc": float("nan"), "hit@10": [0.5]})
        {'auc': None, 'hit@10': [0.5]}
    """
    if isinstance(value, dict):
        return {key: plain_numbers(part, instead) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_numbers(part, instead) for part in value]
    return instead if isinstance(value, float) and not isfinite(value) else value


def plain_texts(value: Any) -> Any:
    """Return plain data with U+FFFD in place of characters that no reader takes: halves of surrogate pairs, and NUL.

    Example:
        >>> print(ascii(plain_texts({"a": ["x\\0", "\\udcff", 3]})))
        {'a': ['x\\ufffd', '\\ufffd', 3]}
    """
    if isinstance(value, dict):
        return {plain_texts(key): plain_texts(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_texts(part) for part in value]
    if not isinstance(value, str):
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


def _unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: Dict[str, None] = {}
        for key, _ in pairs:
            if key in seen:
                raise RefusedJSON(f"the key {key[:60]!r} occurs twice")
            seen[key] = None
    return values


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise RefusedJSON(f"a number has {len(text)} digits, expected at most {MAX_DIGITS}")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise RefusedJSON(f"{text[:40]} is too large a number")
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            part
            for one in level
            if isinstance(one, (dict, list))
            for part in (one.values() if isinstance(one, dict) else one)
            if isinstance(part, (dict, list))
        ]
        if not level:
            return
    raise RefusedJSON(f"nested more than {MAX_DEPTH} times")


def _check_characters(value: Any, where: str) -> None:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{where} is damaged (half of a surrogate pair)") from None
    if "\\u0000" in text:
        raise InputError(f"{where} is damaged (a NUL character)")
