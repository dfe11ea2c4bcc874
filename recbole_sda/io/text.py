"""Text files in UTF-8: lines, JSON lines, and damaged characters."""

import json
from pathlib import Path
from typing import Any, Dict, List, Union

from recbole_sda.io.regular_file import read_text


def read_lines(path: Union[str, Path]) -> List[str]:
    """Return the lines of a text file without their ends.

    A byte order mark at the beginning is left out. Only ``\\n`` ends a line. Characters such as U+2028, which JSON allows inside
    a string, do not.

    Raises:
        InputError: the file is missing, is no regular file, or is not UTF-8.
    """
    lines = read_text(path, limit=None).replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


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
