"""What a tracker does with a run: start or continue its record, add figures, describe the result, end."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional


@dataclass(frozen=True)
class TrackedRun:
    """A run as trackers see it.

    Attributes:
        name: its name.
        folder: its folder.
        kind: run, search, trial or adaptation.
        config: its configuration, as plain data.
        parent: folder of the search that the run is a trial of.
    """

    name: str
    folder: Path
    kind: str
    config: Mapping[str, Any]
    parent: Optional[Path] = None

    @property
    def group(self) -> Optional[str]:
        """Name of the group that a search and its trials are in; None for other runs."""
        return self.parent.name if self.parent else self.folder.name if self.kind == "search" else None


class Tracker(ABC):
    """The record of one run with one library. Each method may raise any error of that library.

    Args:
        options: checked value of the key ``track_options``.
    """

    def __init__(self, options: Mapping[str, str]):
        self.options = options

    @abstractmethod
    def start(self, run: TrackedRun, known: Optional[str], parent: Optional[str]) -> str:
        """Begin the record of a run, or continue one; return its id.

        Args:
            run: the run.
            known: id of the record that the run has already; None for a new run.
            parent: id of the record of the run's search; None without a search.
        """

    @abstractmethod
    def log(self, step: int, values: Dict[str, float]) -> None:
        """Add figures by name; ``step`` counts finished epochs or training steps."""

    @abstractmethod
    def describe(self, step: int, values: Dict[str, float], notes: Dict[str, str]) -> None:
        """Add the final figures, and texts about them; ``step`` is the last one."""

    @abstractmethod
    def end(self, succeeded: bool) -> None:
        """End the record, so that all of it is stored or sent."""


def flat(values: Mapping[str, Any], prefix: str) -> Dict[str, float]:
    """Return the finite numbers of nested values, by names joined with slashes.

    Example:
        >>> flat({"epoch": 0, "loss": {"recommendation": 0.5, "cmsa": float("nan")}, "phase": "train"}, "train")
        {'train/epoch': 0.0, 'train/loss/recommendation': 0.5}
    """
    found: Dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}/{name}"))
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            found[f"{prefix}/{name}"] = float(value)
    return found
