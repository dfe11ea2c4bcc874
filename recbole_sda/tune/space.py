"""A search space: the values to try for each key, and the settings that a search takes from them."""

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from recbole_sda.errors import InputError
from recbole_sda.validation import check_choice

DRAWS = 50  # draws per sample to find settings that were not drawn before
# kind -> number of values; None: any number
KINDS: Dict[str, Optional[int]] = {"choice": None, "uniform": 2, "loguniform": 2, "quniform": 3, "randint": 2}
TOGETHER = "together"  # values are mappings of several keys
LISTED = ("choice", TOGETHER)
SEARCH_ALGS = ("random", "optuna")
OPTION_RANGES = {"samples": (1, 100_000), "grace_epochs": (1, 10**6), "reduction": (2, 1000), "seed": (0, 2**32 - 1)}


@dataclass(frozen=True)
class Domain:
    """The values to try for one key, or for several keys whose values belong together.

    Attributes:
        kind: ``choice`` (values), ``uniform`` (low, high), ``loguniform`` (low, high), ``quniform`` (low, high, step),
            ``randint`` (low, high; high is excluded) or ``together`` (mappings of the same keys).
        values: the values of the kind.
    """

    kind: str
    values: List[Any]

    def keys(self, name: str) -> List[str]:
        """Return the keys that this domain has values for, where it is listed under ``name``."""
        return list(self.values[0]) if self.kind == TOGETHER else [name]

    def distribution(self) -> Any:
        """Return Ray Tune's distribution of this kind; of listed values, that of their positions."""
        from ray import tune

        kind, values = ("choice", [list(range(len(self.values)))]) if self.kind in LISTED else (self.kind, self.values)
        return getattr(tune, kind)(*values)

    def value_of(self, drawn: Any) -> Any:
        """Return what was drawn from :meth:`distribution` as a value of this domain, a Python object."""
        value = drawn.item() if isinstance(drawn, np.generic) else drawn
        return self.values[value] if self.kind in LISTED else value

    def draw(self, generator: np.random.RandomState) -> Any:
        """Return a value drawn from Ray Tune's distribution of this kind, as a Python object."""
        return self.value_of(self.distribution().sample(random_state=generator))


@dataclass(frozen=True)
class Space:
    """A search space and the options of its search.

    Attributes:
        domains: key -> values to try; the domain of keys that belong together has a name of its own.
        samples: number of settings to draw, at least 1; None: every combination, if all domains are lists.
        grace_epochs: epochs that each trial trains before it can be stopped, at least 1.
        reduction: reduction factor of ASHA, at least 2: of the trials that reach a rung, one in ``reduction`` continues.
        seed: random seed of the draws.
        search_alg: ``random``, or ``optuna``: Optuna's TPE suggests each setting from the scores of the trials before it.
    """

    domains: Dict[str, Domain]
    samples: Optional[int] = 20
    grace_epochs: int = 5
    reduction: int = 3
    seed: int = 0
    search_alg: str = "random"

    @property
    def is_suggested(self) -> bool:
        """Whether settings follow from the scores of earlier trials; never where each combination is tried anyway."""
        return self.search_alg == "optuna" and not self._is_enumerated

    @property
    def _is_enumerated(self) -> bool:
        if any(domain.kind not in LISTED for domain in self.domains.values()):
            return False
        n_combinations = math.prod(len(domain.values) for domain in self.domains.values())
        return self.samples is None or n_combinations <= self.samples

    @property
    def keys(self) -> List[str]:
        """The keys that are searched, each once."""
        return [key for name, domain in self.domains.items() for key in domain.keys(name)]

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
        check_choice(f"{source}: search_alg", space.search_alg, SEARCH_ALGS)
        for key, (low, high) in OPTION_RANGES.items():
            value = getattr(space, key)
            if key == "samples" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                more = ", or `grid`" if key == "samples" else ""
                raise InputError(
                    f"{source}: {key}={value!r}: expected a whole number of at least {low}{more}, and at most {high}"
                )
        if space.samples is None:
            if space.search_alg != "random":
                raise InputError(
                    f"{source}: samples=grid tries every combination; leave out search_alg={space.search_alg}"
                )
            for key, domain in space.domains.items():
                if domain.kind not in LISTED:
                    raise InputError(f"{source}: samples=grid allows only choices; {key} is {domain.kind}")
            n = math.prod(len(domain.values) for domain in space.domains.values())
            if n > OPTION_RANGES["samples"][1]:
                raise InputError(
                    f"{source}: samples=grid makes {n:,} trials: expected at most {OPTION_RANGES['samples'][1]:,}"
                )
        return space

    def settings(self) -> List[Dict[str, Any]]:
        """Return the settings to try, without duplicates: every combination, or ``samples`` drawn ones.

        Where there are no more combinations than samples, each is tried once. None where they are suggested one after the other.

        Example:
            >>> Space({"n_layers": Domain("choice", [1, 2])}, samples=None).settings()
            [{'n_layers': 1}, {'n_layers': 2}]
            >>> encoder = [{"item_encoder": "moda", "cmsa_weight": 0.1}, {"item_encoder": "identity", "cmsa_weight": 0.0}]
            >>> Space({"encoder": Domain("together", encoder)}, samples=None).settings() == encoder
            True
        """
        if self._is_enumerated:
            return [self._by_key(values) for values in product(*(domain.values for domain in self.domains.values()))]
        if self.is_suggested:
            return []
        assert self.samples is not None, "changed() allows a grid of choices only"
        generator = np.random.RandomState(self.seed)
        settings: List[Dict[str, Any]] = []
        for _ in range(DRAWS * self.samples):  # a space of few whole numbers may have fewer settings than samples
            drawn = self._by_key([domain.draw(generator) for domain in self.domains.values()])
            if drawn not in settings:
                settings.append(drawn)
            if len(settings) == self.samples:
                break
        return settings

    def suggested(self, drawn: Dict[str, Any]) -> Dict[str, Any]:
        """Return the settings of what was drawn from the distribution of each domain (name -> drawn)."""
        return self._by_key([domain.value_of(drawn[name]) for name, domain in self.domains.items()])

    def _by_key(self, values: Sequence[Any]) -> Dict[str, Any]:
        """Return the settings in which the domains have these values."""
        settings: Dict[str, Any] = {}
        for (name, domain), value in zip(self.domains.items(), values):
            settings.update(value if domain.kind == TOGETHER else {name: value})
        return settings
