"""Search spaces: our YAML files and RecBole's `.test` files."""

import math
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

from recbole_sda.errors import InputError, nearest
from recbole_sda.io.yaml import parse_value, read_yaml
from recbole_sda.validation import file_or_properties_file

FOLDER = "search"
SETTINGS = ("samples", "grace_epochs", "reduction", "seed", "space")
DRAWS = 50  # tries per setting to find one that was not drawn yet
# kind -> number of values; None: any
KINDS = {"choice": None, "uniform": 2, "loguniform": 2, "quniform": 3, "randint": 2}


@dataclass(frozen=True)
class Domain:
    """What is tried for one key.

    Attributes:
        kind: ``choice`` (values), ``uniform`` (low, high), ``loguniform`` (low, high), ``quniform`` (low, high, step),
            ``randint`` (low, high, the latter left out).
        values: see ``kind``.
    """

    kind: str
    values: List[Any]

    def draw(self, generator: np.random.RandomState) -> Any:
        """Return a value drawn by Ray Tune's own distribution, as plain data."""
        from ray import tune

        found = getattr(tune, self.kind)(*([self.values] if self.kind == "choice" else self.values))
        value = found.sample(random_state=generator)
        return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True)
class Space:
    """A search space and how it is searched.

    Attributes:
        domains: key -> what is tried.
        samples: settings drawn; None: every combination, where all are choices.
        grace_epochs: epochs that each trial may train before it can be stopped.
        reduction: of the trials that reach a rung, one in so many goes on (ASHA).
        seed: of the drawing.
    """

    domains: Dict[str, Domain]
    samples: Optional[int] = 20
    grace_epochs: int = 5
    reduction: int = 3
    seed: int = 0

    def changed(self, values: Dict[str, Any], source: str) -> "Space":
        """Return the space with other settings; wrong ones are InputErrors."""
        found = replace(self, **{key: value for key, value in values.items() if key != "samples"})
        if "samples" in values:
            samples = values["samples"]
            found = replace(found, samples=None if samples == "grid" else samples)
        for key, low in (("samples", 1), ("grace_epochs", 1), ("reduction", 2), ("seed", 0)):
            value = getattr(found, key)
            if key == "samples" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                more = ", or `grid`" if key == "samples" else ""
                raise InputError(f"{source}: {key}={value!r}: expected a whole number of at least {low}{more}")
        if found.samples is None:
            other = [key for key, domain in found.domains.items() if domain.kind != "choice"]
            if other:
                raise InputError(
                    f"{source}: samples=grid needs choices alone; {other[0]} is {found.domains[other[0]].kind}"
                )
        return found

    def settings(self) -> List[Dict[str, Any]]:
        """Return the settings to try, no two alike: every combination, or ``samples`` drawn ones.

        Where there are no more combinations than samples, each is tried once.
        """
        names = list(self.domains)
        if all(domain.kind == "choice" for domain in self.domains.values()):
            sizes = math.prod(len(domain.values) for domain in self.domains.values())
            if self.samples is None or sizes <= self.samples:
                return [dict(zip(names, values)) for values in product(*(self.domains[name].values for name in names))]
        generator, found = np.random.RandomState(self.seed), []
        for _ in range(DRAWS * self.samples):  # a space of few whole numbers may not hold that many
            drawn = {name: domain.draw(generator) for name, domain in self.domains.items()}
            if drawn not in found:
                found.append(drawn)
            if len(found) == self.samples:
                break
        return found


def find_space(name: str) -> Path:
    """Return the file of a space: a path, or the name of a file in properties/search/."""
    return file_or_properties_file("--tune", name, FOLDER)


def read_space(path) -> Space:
    """Read a space; anything that is wrong is an InputError that names file and key."""
    path = Path(path)
    if path.suffix in (".yaml", ".yml"):
        values = read_yaml(path)
    else:
        values = {"space": _recbole_lines(path)}
    for key in values:
        if key not in SETTINGS:
            raise InputError(f"{path}: unknown key {key!r}; allowed are {', '.join(SETTINGS)}.{nearest(key, SETTINGS)}")
    domains = values.pop("space", None)
    if not isinstance(domains, dict) or not domains:
        raise InputError(f"{path}: space is missing: expected lines of `key: {{choice: [1, 2]}}`")
    found = Space({key: _domain(path, key, given) for key, given in domains.items()})
    return found.changed(values, str(path))


def _domain(path: Path, key: str, given: Any) -> Domain:
    if isinstance(given, list):
        given = {"choice": given}
    if not isinstance(given, dict) or len(given) != 1 or next(iter(given)) not in KINDS:
        raise InputError(f"{path}: {key}={given!r}: expected one of {', '.join(KINDS)}, as in {{choice: [1, 2]}}")
    kind, values = next(iter(given.items()))
    n = KINDS[kind]
    if not isinstance(values, list) or not values or (n is not None and len(values) != n):
        raise InputError(f"{path}: {key}: {kind}={values!r}: expected a list of {n or 'one or more'} values")
    if n is not None:
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        if not numbers or values[0] >= values[1] or (kind == "loguniform" and values[0] <= 0):
            lowest = ", both above 0" if kind == "loguniform" else ""
            raise InputError(f"{path}: {key}: {kind}={values!r}: expected numbers, the lower one first{lowest}")
    if kind == "choice":  # 0.1 and 0.10 are one
        values = list({repr(value): value for value in values}.values())
    return Domain(kind, values)


def _recbole_lines(path: Path) -> Dict[str, Any]:
    """Read RecBole's form, ``name kind values`` a line; its loguniform has the natural logarithms of both ends."""
    if not path.is_file():
        raise InputError(f"search space {path} does not exist")
    domains: Dict[str, Any] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) < 3 or words[1] not in KINDS:
            kinds = ", ".join(KINDS)
            raise InputError(f"{path}, line {number}: {line!r}: expected `key kind values`, with one of {kinds}")
        key, kind, text = words[0], words[1], "".join(words[2:])
        values = parse_value(key, text if text.startswith("[") else f"[{text}]")
        if kind == "loguniform" and all(isinstance(value, (int, float)) for value in values):
            values = [math.exp(value) for value in values]
        domains[key] = {kind: values}
    return domains
