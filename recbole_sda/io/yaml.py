"""YAML as RecBole's users write it, and the folder ``properties/`` of YAML files."""

import copy
import re
from functools import lru_cache
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any, Dict, List, Union

import yaml

from recbole_sda.errors import InputError, one_line
from recbole_sda.io.regular_file import read_text

SIZE_LIMIT = 1 << 21  # bytes of a YAML file: 2 MiB, some 60,000 lines; PyYAML reads about 100 KiB in a second
MAX_NODES, MAX_DEPTH, MAX_DIGITS = 100_000, 50, 40


class YamlLoader(yaml.SafeLoader):
    """Plain YAML values. Numbers such as 1e-3 are floats, as in RecBole; 1:30 and 007 are texts, not 90 and 7."""


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
YamlLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NUMBERS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(?:0b[01_]+|0|[1-9][\d_]*|0x[\da-fA-F_]+)$"),
    list("-+0123456789"),
)
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
        InputError: the file is missing, is no regular file, is not YAML in UTF-8, holds anything but a mapping, or see
            :func:`parse_yaml`.
    """
    values = copy.deepcopy(_parsed(read_text(path, "configuration file", limit=SIZE_LIMIT), str(path)))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected lines of `key: value`, found {type(values).__name__}")
    return values


@lru_cache(maxsize=128)  # each configuration of a comparison reads the same files
def _parsed(text: str, where: str) -> Any:
    return parse_yaml(text, where)


# An interval with an open end, such as [5,inf), which is no YAML, and is a text in RecBole's documentation.
_INTERVAL = re.compile(r"""(?<!['"\w])([\[(]\s*[-+.\w]+\s*,\s*[-+.\w]+\s*[\])])(?!['"\w])""")


def parse_yaml(text: str, where: str) -> Any:
    """Return the value of a YAML text.

    Aliases are read, but the values that they stand for count each time.

    Args:
        text: one YAML document.
        where: the file, for messages.

    Raises:
        InputError: it is not YAML, has a key twice, a number that is not finite or has more than 40 digits, a character that is
            none, more than 100,000 values, or values nested more than 50 times.

    Example:
        >>> parse_yaml("epochs: 3\\nepochs: 4", "run.yaml")
        Traceback (most recent call last):
        recbole_sda.errors.InputError: run.yaml is not YAML: the key 'epochs' occurs twice, in line 2
    """
    try:
        loader = YamlLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_nodes(node)
        return loader.construct_document(node)
    except RecursionError:
        reason = "values are nested too deeply"
    except (
        Exception
    ) as error:  # beside YAMLError, PyYAML raises errors of any kind for values that look like dates and numbers
        reason = one_line(error, 300)
    raise InputError(f"{where} is not YAML: {reason}")


def _check_nodes(root: yaml.Node) -> None:
    """Refuse what PyYAML would take in silence, or not end with. Nodes of aliases are counted at each place."""
    n_nodes, level = 0, [root]
    for _ in range(MAX_DEPTH):
        n_nodes += len(level)
        if n_nodes > MAX_NODES:
            raise ValueError(f"with its aliases it has more than {MAX_NODES:,} values")
        below: List[yaml.Node] = []
        for node in level:
            if isinstance(node, yaml.MappingNode):
                _check_keys(node)
                below += [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                below += node.value
            elif isinstance(node, yaml.ScalarNode):
                _check_scalar(node)
            if len(below) > MAX_NODES:
                raise ValueError(f"with its aliases it has more than {MAX_NODES:,} values")
        level = below
        if not level:
            return
    raise ValueError(f"values are nested more than {MAX_DEPTH} times")


def _check_keys(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                raise ValueError(f"the key {key.value[:60]!r} occurs twice, in line {key.start_mark.line + 1}")
            seen.add((key.tag, key.value))


def _float(text: str) -> float:
    return float(text.lower().replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))


def _check_scalar(node: yaml.ScalarNode) -> None:
    place = f"in line {node.start_mark.line + 1}"
    if node.tag.endswith(":int") and len(node.value) > MAX_DIGITS:
        raise ValueError(f"a number has {len(node.value)} digits, {place}; expected at most {MAX_DIGITS}")
    if node.tag.endswith(":float") and not isfinite(_float(node.value)):
        raise ValueError(f"{node.value[:40]} is no finite number, {place}")
    if "\0" in node.value or any("\ud800" <= c <= "\udfff" for c in node.value):
        raise ValueError(f"a text has a character that is none, {place}")


def parse_value(key: str, text: str) -> Any:
    """Read a command-line value as YAML. ``None`` is null and an interval such as ``[5,inf)`` a text, as RecBole's users write it.

    Example:
        >>> parse_value("user_inter_num_interval", "[5,inf)"), parse_value("val_interval", "{rating: (0,3]}")
        ('[5,inf)', {'rating': '(0,3]'})
    """
    if text == "None":
        return None
    try:
        return parse_yaml(text, f"--{key}")
    except InputError as error:
        reason = str(error).partition(" is not YAML: ")[2]
    try:
        return parse_yaml(_INTERVAL.sub(r"'\1'", text), f"--{key}")
    except InputError:
        raise InputError(
            f"--{key}={text[:200]}: not a YAML value ({reason}); quote it, as in --{key}=\"'...'\""
        ) from None
