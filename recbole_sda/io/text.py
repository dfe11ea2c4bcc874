"""Text files in UTF-8: lines, JSON lines, and damaged characters."""

import json
from pathlib import Path
from typing import Any, Dict, List, Union

from recbole_sda.errors import InputError


def read_lines(path: Union[str, Path]) -> List[str]:
    """Return the lines of a text file without their ends.

    A byte order mark at the beginning is left out. Only ``\\n`` ends a line. Characters such as U+2028, which JSON allows inside
    a string, do not.

    Raises:
        InputError: the file is not UTF-8.
    """
    with open(path, encoding="utf-8-sig") as file:
        try:
            return [line.rstrip("\n") for line in file]
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not a text file in UTF-8: {error}") from None


def read_json_lines(path: Path) -> List[Dict[str, Any]]:
    """Return the objects of a JSON-lines file that is still being appended to.

    A last line without a line break, which an interrupted write leaves behind, is skipped. A missing file has no lines.

    Raises:
        InputError: any other line is not JSON.
    """
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    try:
        return [json.loads(line) for line in lines]
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is damaged ({error})") from None


def replace_lone_surrogates(value: Dict[str, Any], line: str) -> Dict[str, Any]:
    """Return parsed JSON with U+FFFD in place of each lone surrogate, half of a character outside the basic plane.

    Args:
        value: what ``line`` parses to. It is returned unchanged when it holds no lone surrogate.
        line: the JSON text.
    """
    if "\\ud" not in line.lower():
        return value
    text = json.dumps(value, ensure_ascii=False, default=str)
    mended = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value if mended == text else dict(json.loads(mended))
