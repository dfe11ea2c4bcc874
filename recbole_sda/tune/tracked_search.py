"""What a search reports to trackers: its space and its best trial. Each trial is a run of its own below it."""

from typing import TYPE_CHECKING, Any, Dict

from recbole_sda.engine.run_tracking import describe_result
from recbole_sda.tracking.settings import OPTIONS, TRACK
from recbole_sda.tracking.trackers import TrackedRun, Trackers, start_trackers

if TYPE_CHECKING:
    from recbole_sda.tune.search import Search


def track_search(search: "Search") -> Trackers:
    """Start the trackers of a search, or continue its records; its trials find the ids in its folder.

    Raises:
        TrackerError: a tracker cannot be started.
    """
    options = search.tracking[OPTIONS]
    search.out.mkdir(parents=True, exist_ok=True)
    space = {stage.name or "space": {k: str(v) for k, v in stage.space.domains.items()} for stage in search.stages}
    config = {**search.keys, "model": search.model, "dataset": search.dataset, "valid_metric": search.metric, **space}
    run = TrackedRun(
        name=options.get("run_name") or search.out.name,
        folder=search.out,
        kind="search",
        config={key: value for key, value in config.items() if key not in search.tracking},
    )
    return start_trackers(search.tracking[TRACK], options, run)


def describe_search(trackers: Trackers, found: Dict[str, Any], result: Dict[str, Any]) -> None:
    """Report the best trial of a search, with its test metrics.

    Args:
        trackers: those of the search.
        found: content of ``search.json``.
        result: content of the best trial's ``metrics.json``.
    """
    describe_result(trackers, result)
    best = found["best"]
    trackers.describe(
        {"search": {"best_score": best["score"]}},
        {"best_trial": best["folder"], "best_settings": str(best["settings"])},
    )
