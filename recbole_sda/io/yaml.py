"""Files: YAML values as RecBole's users write them, where this project's own lie, and writing one whole or not at all."""

import json
import os
import re
import uuid
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List

import yaml

from recbole_sda.errors import InputError

UMASK = os.umask(0o077)
os.umask(UMASK)  # it is read by being set


class YamlLoader(yaml.SafeLoader):
    """Plain YAML values, with numbers such as 1e-3 read as floats (as RecBole reads them)."""


YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)$|^[-+]?(?:\d[\d_]*\.\d*|\.\d+)$|^[-+]?\.(?:inf|nan)$", re.I
    ),
    list("-+0123456789."),
)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Inside, write to the path that is given; afterwards it takes the place of ``path``, which so appears whole or not at all."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield draft
        as_new_file(draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Write lines; the file appears whole or not at all."""
    draft = path.with_name(f".{path.name}.part")
    with open(draft, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
    os.replace(draft, path)


def as_new_file(path: Path) -> None:
    """Give a file the permissions of any new one; safetensors makes files that their maker alone may read."""
    os.chmod(path, 0o666 & ~UMASK)


def text_lines(path) -> List[str]:
    """Return the lines of a text file. Line ends alone part them: U+2028 and its like, legal inside JSON, do not.

    Raises:
        InputError: the file is not UTF-8.
    """
    with open(path, encoding="utf-8") as file:
        try:
            return [line.rstrip("\n") for line in file]
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not a text file in UTF-8: {error}") from None


def whole_characters(value: Dict[str, Any], line: str) -> Dict[str, Any]:
    """Return the plain data of a line with U+FFFD for each half of a character (an emoji cut in two, legal in JSON).

    Where there is none, it is ``value`` itself.
    """
    if "\\ud" not in line.lower():
        return value
    text = json.dumps(value, ensure_ascii=False, default=str)
    mended = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value if mended == text else json.loads(mended)


def notes_so_far(path: Path) -> List[Dict[str, Any]]:
    """Return the objects of a file of JSON lines that grows as work goes on; a line that a kill cut short is left out.

    Raises:
        InputError: another line is damaged.
    """
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    try:
        return [json.loads(line) for line in lines]
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is damaged ({error})") from None


def properties_dir() -> Path:
    """Return the folder ``properties/``: inside an installed package, or beside it in a checkout."""
    inside = Path(str(resources.files("recbole_sda"))) / "properties"
    return inside if inside.is_dir() else inside.parent.parent / "properties"


def read_yaml(path) -> Dict[str, Any]:
    """Read a YAML file of keys; a missing file, broken YAML or anything but a mapping is an InputError."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"configuration file {path} does not exist")
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), YamlLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected lines of `key: value`, found {type(values).__name__}")
    return values


def parse_value(key: str, text: str) -> Any:
    """Read a command-line value as YAML; ``None`` is taken as null, as RecBole's users write it."""
    if text == "None":
        return None
    try:
        return yaml.load(text, YamlLoader)
    except yaml.YAMLError:
        raise InputError(f"--{key}={text}: not a YAML value; quote it, as in --{key}=\"'...'\"") from None
