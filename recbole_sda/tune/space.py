"""Search spaces: YAML files, and RecBole's `.test` files."""

import math
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import numpy as np

from recbole_sda.errors import InputError, nearest
from recbole_sda.io.yaml import parse_value, read_yaml
from recbole_sda.validation import file_or_properties_file

FOLDER = "search"
SETTINGS = ("samples", "grace_epochs", "reduction", "seed", "space")
DRAWS = 50  # draws per sample to find settings that were not drawn before
# kind -> number of values; None: any number
KINDS: Dict[str, Optional[int]] = {"choice": None, "uniform": 2, "loguniform": 2, "quniform": 3, "randint": 2}


@dataclass(frozen=True)
class Domain:
    """The values to try for one key.

    Attributes:
        kind: ``choice`` (values), ``uniform`` (low, high), ``loguniform`` (low, high), ``quniform`` (low, high, step) or
            ``randint`` (low, high; high is excluded).
        values: the values of the kind.
    """

    kind: str
    values: List[Any]

    def draw(self, generator: np.random.RandomState) -> Any:
        """Return a value drawn from Ray Tune's distribution of this kind, as a Python object."""
        from ray import tune

        distribution = getattr(tune, self.kind)(*([self.values] if self.kind == "choice" else self.values))
        value = distribution.sample(random_state=generator)
        return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True)
class Space:
    """A search space and the options of its search.

    Attributes:
        domains: key -> values to try.
        samples: number of settings to draw, at least 1; None: every combination, if all domains are choices.
        grace_epochs: epochs that each trial trains before it can be stopped, at least 1.
        reduction: reduction factor of ASHA, at least 2: of the trials that reach a rung, one in ``reduction`` continues.
        seed: random seed of the draws.
    """

    domains: Dict[str, Domain]
    samples: Optional[int] = 20
    grace_epochs: int = 5
    reduction: int = 3
    seed: int = 0

    def changed(self, values: Dict[str, Any], source: str) -> "Space":
        """Return the space with other options; a wrong one is an InputError.

        Args:
            values: option -> value; ``samples`` may be ``grid``, every combination.
            source: file or command line, for messages.
        """
        options: Dict[str, Any] = dict(values)
        if options.get("samples") == "grid":
            options["samples"] = None
        space = replace(self, **options)
        for key, low in (("samples", 1), ("grace_epochs", 1), ("reduction", 2), ("seed", 0)):
            value = getattr(space, key)
            if key == "samples" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                more = ", or `grid`" if key == "samples" else ""
                raise InputError(f"{source}: {key}={value!r}: expected a whole number of at least {low}{more}")
        if space.samples is None:
            for key, domain in space.domains.items():
                if domain.kind != "choice":
                    raise InputError(f"{source}: samples=grid allows only choices; {key} is {domain.kind}")
        return space

    def settings(self) -> List[Dict[str, Any]]:
        """Return the settings to try, without duplicates: every combination, or ``samples`` drawn ones.

        Where there are no more combinations than samples, each is tried once.

        Example:
            >>> Space({"n_layers": Domain("choice", [1, 2])}, samples=None).settings()
            [{'n_layers': 1}, {'n_layers': 2}]
        """
        names = list(self.domains)
        if all(domain.kind == "choice" for domain in self.domains.values()):
            n_combinations = math.prod(len(domain.values) for domain in self.domains.values())
            if self.samples is None or n_combinations <= self.samples:
                return [dict(zip(names, values)) for values in product(*(self.domains[name].values for name in names))]
        assert self.samples is not None, "changed() allows a grid of choices only"
        generator = np.random.RandomState(self.seed)
        settings: List[Dict[str, Any]] = []
        for _ in range(DRAWS * self.samples):  # a space of few whole numbers may have fewer settings than samples
            drawn = {name: domain.draw(generator) for name, domain in self.domains.items()}
            if drawn not in settings:
                settings.append(drawn)
            if len(settings) == self.samples:
                break
        return settings


def find_space(name: str) -> Path:
    """Return the file of a space: ``name`` itself where it is a path, else the file of this name in properties/search/."""
    return file_or_properties_file("--tune", name, FOLDER)


def read_space(path: Union[str, Path]) -> Space:
    """Read a space from a YAML file, or from a file in RecBole's form (any other suffix).

    Raises:
        InputError: a key or value is wrong; the message names file and key.
    """
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
    space = Space({key: _domain(path, key, given) for key, given in domains.items()})
    return space.changed(values, str(path))


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
    if kind == "choice":  # 0.1 and 0.10 are one value
        values = list({repr(value): value for value in values}.values())
    return Domain(kind, values)


def _recbole_lines(path: Path) -> Dict[str, Any]:
    """Read RecBole's form, lines of ``key kind values``; the ends of its loguniform are natural logarithms."""
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
