"""Stages of a search: each fixes the best settings of the stages before it and searches further keys."""

import json
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from recbole_sda.errors import InputError
from recbole_sda.tune.space import Space

Settings = Dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """A stage of a search.

    Attributes:
        name: its name, which differs from those of the other stages.
        space: the values that it tries, and the options of its search.
    """

    name: str
    space: Space


@dataclass(frozen=True)
class StagedSpace:
    """A search space in stages.

    Attributes:
        stages: the stages in the order in which they run.
    """

    stages: Tuple[Stage, ...]

    def changed(self, values: Dict[str, Any], source: str) -> "StagedSpace":
        """Return the space with other options in every stage, see :meth:`recbole_sda.tune.space.Space.changed`.

        Example:
            >>> from recbole_sda.tune.space import Domain
            >>> space = StagedSpace((Stage("size", Space({"n_layers": Domain("choice", [1, 2])}, samples=None)),))
            >>> space.changed({"samples": 1}, "command line").stages[0].space.samples
            1
        """
        stages = (Stage(one.name, one.space.changed(values, f"{source}: stage {one.name}")) for one in self.stages)
        return StagedSpace(tuple(stages))


class PlannedTrial(NamedTuple):
    """A trial of a stage.

    Attributes:
        settings: the values of all keys that were searched so far.
        trained: settings with the same configuration that were planned first; their trial is trained once for all.
    """

    settings: Settings
    trained: Settings


class RefusedTrial(NamedTuple):
    """Settings that make no valid configuration, and the reason."""

    settings: Settings
    reason: str


class Plan(NamedTuple):
    """The trials of a stage, and the best settings before it, which those that are suggested later start from."""

    trials: List[PlannedTrial]
    refused: List[RefusedTrial]
    best: Settings


def whole_space(space: Space) -> Plan:
    """Return the plan of a space without stages."""
    return Plan([PlannedTrial(settings, settings) for settings in space.settings()], [], {})


class StagePlanner:
    """Plans the stages of one search, in their order.

    Args:
        resolve: returns the whole configuration (key -> value) that some settings give, or raises an InputError.

    Example:
        >>> from recbole_sda.tune.space import Domain
        >>> defaults = {"n_layers": 2, "dropout": 0.5}
        >>> planner = StagePlanner(lambda settings: {**defaults, **settings})
        >>> size = planner.plan(Space({"n_layers": Domain("choice", [1, 2, 3])}, samples=None), {})
        >>> [trial.settings["n_layers"] for trial in size.trials]  # the value so far comes first
        [2, 1, 3]
        >>> dropout = planner.plan(Space({"dropout": Domain("choice", [0.2])}, samples=None), {"n_layers": 3})
        >>> [trial.settings for trial in dropout.trials]
        [{'n_layers': 3, 'dropout': 0.5}, {'n_layers': 3, 'dropout': 0.2}]
        >>> dropout.trials[0].trained  # is not trained again
        {'n_layers': 3}
    """

    def __init__(self, resolve: Callable[[Settings], Settings]):
        self._resolve = resolve
        self._first: Dict[str, Settings] = {}

    def plan(self, space: Space, best: Settings) -> Plan:
        """Plan a stage: the best settings so far as they are, then those of the space, each configuration once.

        Args:
            space: the space of the stage.
            best: the best settings of the stages before it.
        """
        plan = Plan([], [], best)
        candidates = [{**best, **settings} for settings in space.settings()]
        try:
            now = self._resolve(best)
            candidates.insert(0, {**best, **{key: now[key] for key in space.keys if key in now}})
        except InputError as error:
            plan.refused.append(RefusedTrial(best, str(error)))
        planned = set()
        for settings in candidates:
            try:
                configuration = _text(self._resolve(settings))
            except InputError as error:
                plan.refused.append(RefusedTrial(settings, str(error)))
                continue
            if configuration not in planned:
                planned.add(configuration)
                plan.trials.append(PlannedTrial(settings, self._first.setdefault(configuration, settings)))
        return plan


def _text(configuration: Settings) -> str:
    """Return a text that is the same for equal configurations; 1 and 1.0 are equal, 1 and true are not."""
    values = {key: float(value) if type(value) is int else value for key, value in configuration.items()}
    return json.dumps(values, sort_keys=True, default=str)
