"""Files of search spaces: YAML, perhaps with stages, and RecBole's `.test` files."""

import math
import re
from pathlib import Path
from typing import Any, Dict, List, Union

from recbole_sda.errors import InputError, nearest
from recbole_sda.io.regular_file import read_text
from recbole_sda.io.yaml import parse_value, read_yaml
from recbole_sda.tune.space import KINDS, TOGETHER, Domain, Space
from recbole_sda.tune.stages import Stage, StagedSpace
from recbole_sda.validation import POSITIVE, Range, file_or_properties_file

FOLDER = "search"
OPTIONS = ("samples", "grace_epochs", "reduction", "seed", "search_alg")
PLAIN = (*OPTIONS, "space")
STAGED = (*OPTIONS, "stages")
STAGE = ("name", *PLAIN)
NUMBERS = Range(-(2.0**62), 2.0**62)  # the ends of a domain
LOGARITHMS = Range(-700, 43)  # of the ends of one: what fits into a float, and into NUMBERS


def find_space(name: str) -> Path:
    """Return the file of a space: ``name`` itself where it is a path, else the file of this name in properties/search/."""
    return file_or_properties_file("--tune", name, FOLDER)


def read_space(path: Union[str, Path]) -> Union[Space, StagedSpace]:
    """Read a space from a YAML file, or from a file in RecBole's form (any other suffix).

    Raises:
        InputError: a key or value is wrong; the message names file, stage and key.
    """
    path = Path(path)
    if path.suffix not in (".yaml", ".yml"):
        return _space(str(path), {"space": _recbole_lines(path)})
    values = read_yaml(path)
    if "stages" not in values:
        _check_names(str(path), values, PLAIN + ("stages",))
        return _space(str(path), values)
    if "space" in values:
        raise InputError(f"{path}: space and stages are both given; leave one of the two out")
    _check_names(str(path), values, STAGED)
    return _staged_space(str(path), values)


def _check_names(source: str, values: Dict[str, Any], allowed: tuple[str, ...]) -> None:
    for key in values:
        if key not in allowed:
            raise InputError(f"{source}: unknown key {key!r}; allowed are {', '.join(allowed)}.{nearest(key, allowed)}")


def _space(source: str, values: Dict[str, Any]) -> Space:
    """Return the space of the keys ``space`` and :data:`OPTIONS`; other keys are not read."""
    domains = values.get("space")
    if not isinstance(domains, dict) or not domains:
        raise InputError(f"{source}: space is missing: expected lines of `key: {{choice: [1, 2]}}`")
    space = Space({name: _domain(source, name, given) for name, given in domains.items()})
    for key in space.keys:
        if space.keys.count(key) > 1:
            raise InputError(f"{source}: {key} has values in more than one line of space; leave one of them out")
    return space.changed({key: values[key] for key in OPTIONS if key in values}, source)


def _staged_space(source: str, values: Dict[str, Any]) -> StagedSpace:
    """Return the space of a file with stages. What a stage leaves out is taken from the top of the file."""
    given, options = values["stages"], {key: values[key] for key in OPTIONS if key in values}
    if not isinstance(given, list) or not given:
        raise InputError(f"{source}: stages={given!r}: expected a list of `{{name: ..., space: {{...}}}}`")
    stages: List[Stage] = []
    for number, stage in enumerate(given, 1):
        if not isinstance(stage, dict):
            raise InputError(f"{source}: stage {number}: {stage!r}: expected `{{name: ..., space: {{...}}}}`")
        name = stage.get("name")
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise InputError(f"{source}: stage {number}: name={name!r}: expected letters, digits, hyphens, underscores")
        if name in [other.name for other in stages]:
            raise InputError(f"{source}: stage {number}: name={name!r} is the name of an earlier stage")
        place = f"{source}: stage {name}"
        _check_names(place, stage, STAGE)
        stages.append(Stage(name, _space(place, {**options, **stage})))
    return StagedSpace(tuple(stages))


def _domain(source: str, key: str, given: Any) -> Domain:
    if isinstance(given, list):
        given = {"choice": given}
    if not isinstance(given, dict) or len(given) != 1 or next(iter(given)) not in (*KINDS, TOGETHER):
        kinds = ", ".join((*KINDS, TOGETHER))
        raise InputError(f"{source}: {key}={given!r}: expected one of {kinds}, as in {{choice: [1, 2]}}")
    kind, values = next(iter(given.items()))
    n = KINDS.get(kind)
    if not isinstance(values, list) or not values or (n is not None and len(values) != n):
        raise InputError(f"{source}: {key}: {kind}={values!r}: expected a list of {n or 'one or more'} values")
    if n is not None:
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        if not numbers or values[0] >= values[1] or (kind == "loguniform" and values[0] <= 0):
            lowest = ", both above 0" if kind == "loguniform" else ""
            raise InputError(f"{source}: {key}: {kind}={values!r}: expected numbers, the lower one first{lowest}")
        for value in values:
            NUMBERS.check(f"{source}: {key}: {kind}", value, whole=kind == "randint")
        if kind == "quniform":
            step = POSITIVE.check(f"{source}: {key}: {kind}: step", values[2])
            if any(abs(end / step - round(end / step)) > 1e-6 for end in values[:2]):
                raise InputError(f"{source}: {key}: {kind}={values!r}: expected ends that are multiples of the step")
    if kind == TOGETHER:
        values = [_same_keys(source, key, value, values[0]) for value in values]
    if n is None:  # 0.1 and 0.10 are one value
        values = list({repr(value): value for value in values}.values())
    return Domain(kind, values)


def _same_keys(source: str, name: str, value: Any, first: Any) -> Dict[str, Any]:
    """Return a mapping of ``together`` with its keys in the order of the first mapping."""
    for one in (first, value):
        if not isinstance(one, dict) or not one:
            raise InputError(f"{source}: {name}: together: {one!r}: expected a mapping of keys to values")
    if set(value) != set(first):
        expected = ", ".join(map(str, first))
        raise InputError(f"{source}: {name}: together: {value!r}: expected the keys of the first mapping, {expected}")
    return {key: value[key] for key in first}


def _recbole_lines(path: Path) -> Dict[str, Any]:
    """Read RecBole's form, lines of ``key kind values``; the ends of its loguniform are natural logarithms.

    RecBole evaluates values in quotes once more, so that ``'[64,64]'`` is a list.
    """
    domains: Dict[str, Any] = {}
    for number, line in enumerate(read_text(path, "search space").splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) < 3 or words[1] not in KINDS:
            kinds = ", ".join(KINDS)
            raise InputError(f"{path}, line {number}: {line!r}: expected `key kind values`, with one of {kinds}")
        key, kind, text = words[0], words[1], "".join(words[2:])
        where = f"{path}, line {number}"
        try:
            values = parse_value(key, text if text.startswith("[") else f"[{text}]")
            if kind == "loguniform" and all(isinstance(value, (int, float)) for value in values):
                values = [math.exp(LOGARITHMS.check(key, value)) for value in values]
            values = [parse_value(key, value) if isinstance(value, str) else value for value in values]
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        domains[key] = {kind: values}
    return domains
