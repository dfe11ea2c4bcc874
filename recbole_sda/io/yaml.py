"""YAML as RecBole's users write it, and the folder ``properties/`` of YAML files."""

import re
from importlib import resources
from pathlib import Path
from typing import Any, Dict, Union

import yaml

from recbole_sda.errors import InputError


class YamlLoader(yaml.SafeLoader):
    """Plain YAML values. Numbers such as 1e-3 are floats, as in RecBole."""


YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)$|^[-+]?(?:\d[\d_]*\.\d*|\.\d+)$|^[-+]?\.(?:inf|nan)$", re.I
    ),
    list("-+0123456789."),
)


def properties_dir() -> Path:
    """Return the folder ``properties/``: inside an installed package, or beside the package in a checkout."""
    inside = Path(str(resources.files("recbole_sda"))) / "properties"
    return inside if inside.is_dir() else inside.parent.parent / "properties"


def read_yaml(path: Union[str, Path]) -> Dict[str, Any]:
    """Read a YAML file of ``key: value`` lines.

    Raises:
        InputError: the file is missing, is not YAML in UTF-8, or holds anything but a mapping.
    """
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


# An interval with an open end, such as [5,inf), which is no YAML, and is a text in RecBole's documentation.
_INTERVAL = re.compile(r"""(?<!['"\w])([\[(]\s*[-+.\w]+\s*,\s*[-+.\w]+\s*[\])])(?!['"\w])""")


def parse_value(key: str, text: str) -> Any:
    """Read a command-line value as YAML. ``None`` is null and an interval such as ``[5,inf)`` a text, as RecBole's users write it.

    Example:
        >>> parse_value("user_inter_num_interval", "[5,inf)"), parse_value("val_interval", "{rating: (0,3]}")
        ('[5,inf)', {'rating': '(0,3]'})
    """
    if text == "None":
        return None
    try:
        return yaml.load(text, YamlLoader)
    except yaml.YAMLError:
        pass
    try:
        return yaml.load(_INTERVAL.sub(r"'\1'", text), YamlLoader)
    except yaml.YAMLError:
        raise InputError(f"--{key}={text}: not a YAML value; quote it, as in --{key}=\"'...'\"") from None
