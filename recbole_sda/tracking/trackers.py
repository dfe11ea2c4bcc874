"""The trackers of a run: all are started before training; one that fails later is dropped with a warning, and the run goes on.

The ids of the records are in ``tracking.json`` of the run folder, so that a resumed run continues them.
"""

import json
import logging
import re
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Type

from recbole_sda.errors import InputError, plain_message
from recbole_sda.io.atomic_write import write_text
from recbole_sda.io.json import read_json
from recbole_sda.machine import torchrun
from recbole_sda.tracking.tracker import TrackedRun, Tracker, flat

logger = logging.getLogger(__name__)

IDS, WANDB = "tracking.json", "wandb"  # in the folder of a run; the second is W&B's own
CLASSES = {
    "mlflow": "mlflow_tracker:MLflowTracker",
    "wandb": "wandb_tracker:WandbTracker",
    "trackio": "trackio_tracker:TrackioTracker",
}


class TrackerError(InputError):
    """A tracker cannot be started: its server does not answer, a key is missing, or it has no such record."""


class Trackers:
    """The records of one run, one per tracker; a context manager that ends them.

    Args:
        trackers: started trackers by name.

    Example:
        >>> with Trackers({}) as trackers:
        ...     trackers.log(1, "train", {"loss": {"recommendation": 0.5}})
    """

    def __init__(self, trackers: Mapping[str, Tracker]):
        self._trackers = dict(trackers)
        self._step = 0

    def log(self, step: int, phase: str, values: Mapping[str, Any]) -> None:
        """Add the numbers of nested ``values``, with names that begin with ``phase``; ``step`` is from 1."""
        self._step = max(step, self._step)
        figures = flat(values, phase)
        self._each(lambda tracker: tracker.log(step, figures))

    def describe(self, values: Mapping[str, Any], notes: Mapping[str, str]) -> None:
        """Add final figures, nested by phase, and texts about them."""
        figures = {name: value for phase, of_phase in values.items() for name, value in flat(of_phase, phase).items()}
        self._each(lambda tracker: tracker.describe(max(self._step, 1), figures, dict(notes)))

    def _each(self, action: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                action(tracker)
            except Exception as error:  # a library may raise any
                del self._trackers[name]
                logger.warning("track: %s failed, and the run goes on without it: %s", name, _reason(error))

    def __enter__(self) -> "Trackers":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._each(lambda tracker: tracker.end(kind is None))


def start_trackers(names: Sequence[str], options: Mapping[str, str], run: TrackedRun) -> Trackers:
    """Start the trackers of a run, or continue its records; in other processes than the first, there are none.

    Args:
        names: of the trackers, checked.
        options: checked value of ``track_options``.
        run: the run.

    Raises:
        TrackerError: one of them cannot be started.
    """
    if not names or not torchrun.is_main():
        return Trackers({})
    known = read_ids(run.folder)
    parents = read_ids(run.parent) if run.parent else {}
    trackers: Dict[str, Tracker] = {}
    for name in names:
        module, _, kind = CLASSES[name].partition(":")
        tracker: Tracker = getattr(import_module(f"recbole_sda.tracking.{module}"), kind)(options)
        try:
            known[name] = tracker.start(run, known.get(name), parents.get(name))
        except Exception as error:
            Trackers(trackers).__exit__(TrackerError, None, None)
            hint = f"; without {run.folder / IDS}, a new record begins" if name in known else ""
            raise TrackerError(f"track: {name} cannot be started: {_reason(error)}{hint}") from error
        trackers[name] = tracker
    write_text(run.folder / IDS, json.dumps(known, indent=2) + "\n")
    return Trackers(trackers)


def start_or_warn(names: Sequence[str], options: Mapping[str, str], run: TrackedRun) -> Trackers:
    """Do what :func:`start_trackers` does, for one of many runs: where a tracker cannot be started, warn and use none."""
    try:
        return start_trackers(names, options, run)
    except TrackerError as error:
        logger.warning("%s; this run goes on without trackers", error)
        return Trackers({})


def read_ids(folder: Path) -> Dict[str, str]:
    """Return the id of a folder's record by tracker; empty where it has none.

    Raises:
        InputError: the file of the ids is damaged.
    """
    path = folder / IDS
    ids: Dict[str, str] = read_json(path, {str: str}, "remove it to begin new records") if path.is_file() else {}
    return ids


def _reason(error: BaseException) -> str:
    """Return an error on one line, without passwords in addresses and without what has the form of an access token."""
    text = re.sub(r"//[^/@\s]+@", "//***@", plain_message(error))
    return re.sub(r"\b(hf_|wandb_v\d_)?[A-Za-z0-9]{40,}\b", "***", text)
