"""What a run reports to trackers: its configuration, each line of its history, its final metrics with their protocol."""

from pathlib import Path
from typing import Any, Callable, Dict, Optional

from recbole_sda.engine.run import Run
from recbole_sda.engine.summary import protocol_lines
from recbole_sda.tracking.settings import KEYS, OPTIONS, TRACK
from recbole_sda.tracking.trackers import TrackedRun, Trackers, start_or_warn, start_trackers


def track_run(run: Run, parent: Optional[Path] = None) -> Trackers:
    """Start the trackers that a run's configuration names, or continue its records, and give them to the trainer.

    Args:
        run: the run, before its training.
        parent: folder of the search that it is a trial of.

    Raises:
        TrackerError: a tracker cannot be started. For a trial this is a warning.
    """
    values, options = run.config.resolved, run.config[OPTIONS]
    name = options.get("run_name") if parent is None else None
    tracked = TrackedRun(
        name=name or run.run_dir.name,
        folder=run.run_dir,
        kind="trial" if parent else "run",
        config={key: value for key, value in values.items() if key not in KEYS},
        parent=parent,
    )
    start: Callable[..., Trackers] = start_or_warn if parent else start_trackers
    run.trainer.trackers = start(run.config[TRACK], options, tracked)
    return run.trainer.trackers


def describe_result(trackers: Trackers, result: Dict[str, Any]) -> None:
    """Report the final metrics of a run; ``result`` is the content of its ``metrics.json``."""
    values = {
        "best_valid": result["valid"] or {},
        "test": result["test"],
        "run": {key: result[key] for key in ("best_epoch", "epochs_run", "parameters", "seconds")},
    }
    notes = {"protocol": " | ".join(protocol_lines(result)), "dataset": result["dataset"]}
    if "fallback" in result:
        notes["base_fallback"] = f"{result['fallback']['kept']} was kept"
    trackers.describe(values, notes)
