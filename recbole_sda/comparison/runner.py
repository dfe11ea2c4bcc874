"""Running the jobs of a plan that are not finished, one after the other or several at once with Ray.

A job is a run, or the evaluation of a run under a further protocol.
"""

import logging
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

from recbole_sda.comparison.plan import Job
from recbole_sda.comparison.planned_evaluation import PlannedEvaluation
from recbole_sda.comparison.planned_run import PlannedRun
from recbole_sda.config.run_config import MACHINE_KEYS
from recbole_sda.engine import experiment
from recbole_sda.engine.run_folder import CONFIG, has_no_run
from recbole_sda.errors import InputError, file_error
from recbole_sda.io.checkpoint import LAST
from recbole_sda.io.locks import exclusive_lock
from recbole_sda.io.logs import start_logging
from recbole_sda.machine.ray_session import check_gpu_share, ray_session, worker_device_keys
from recbole_sda.model.named_models import name_user_models, named_user_models
from recbole_sda.tracking.settings import OPTIONS, TRACK

logger = logging.getLogger(__name__)


def run_one(run: PlannedRun) -> None:
    """Run a planned run: an interrupted one is resumed, a finished one is left unchanged.

    Raises:
        InputError: another process is at this run, or the folder has other content than a run.
    """
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    lock = run.folder.with_name(f"{run.folder.name}.lock")
    with exclusive_lock(lock, f"{run.folder}: another process is at this run"):
        if run.is_done:  # by a process that had the lock before
            return
        if (run.folder / LAST).is_file():
            kept = {key: value for key, value in run.keys.items() if key in MACHINE_KEYS} | _tracking(run)
            experiment.resume(run.folder, {**kept, "data_path": run.configuration().resolved["data_path"]})
            return
        _remove_run_without_epochs(run.folder)
        keys = {**run.keys, "run_dir": str(run.folder), **_tracking(run)}
        experiment.run(run.entry.model, run.dataset, (), keys)


def _tracking(run: PlannedRun) -> Dict[str, Any]:
    """Return the keys of a run's trackers, if it has any: the runs of a comparison are a group, named by row, data set and seed."""
    if not run.keys.get(TRACK):
        return {}
    group = run.folder.resolve().parents[2].name  # of the comparison
    return {OPTIONS: {"group": group, **(run.keys.get(OPTIONS) or {}), "run_name": str(run)}}


def _remove_run_without_epochs(folder: Path) -> None:
    """Remove the folder of a run that was interrupted before its first checkpoint; refuse a folder with other content."""
    if not folder.is_dir():
        return
    if not (folder / CONFIG).is_file() and not has_no_run(folder):
        raise InputError(f"{folder} exists and is not a run folder; choose another --out, or remove it")
    shutil.rmtree(folder)


def run_planned(
    jobs: Sequence[Job], parallel: int = 1, gpus: float = 0.0, address: Optional[str] = None
) -> Dict[str, str]:
    """Run all planned runs and evaluations that are not finished.

    Args:
        jobs: each after those that it needs.
        parallel: jobs at once. 1 without an ``address``: one after the other in this process.
        gpus: share of a GPU that each job takes; 0: none.
        address: of a Ray cluster (``auto``: the one that this machine belongs to), whose machines share the folders.

    Returns:
        The failures: name of the job -> message. All other jobs are finished.
    """
    todo = [job for job in jobs if not job.is_done]
    logger.info("%d of %d %s are finished", len(jobs) - len(todo), len(jobs), kinds_of(jobs))
    if not todo:
        return {}
    progress = _Progress(len(todo))
    if parallel == 1 and address is None:
        return _one_by_one(todo, progress)
    return _with_ray(todo, progress, parallel, gpus, address)


class _Progress:
    """Logs a line per ended job."""

    def __init__(self, n: int):
        self.n, self.ended, self.started = n, 0, time.time()

    def log(self, job: Job, error: Optional[str]) -> None:
        self.ended += 1
        seconds = time.time() - self.started
        left = seconds / self.ended * (self.n - self.ended)
        state = f"failed: {error}" if error else "done"
        rest = f"; about {_duration(left)} left" if self.ended < self.n else ""
        logger.info("%d of %d, %s after %s%s: %s", self.ended, self.n, state, _duration(seconds), rest, job)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def kinds_of(jobs: Sequence[Job]) -> str:
    """Return what jobs are, in the plural, for messages."""
    return "runs and evaluations" if any(isinstance(job, PlannedEvaluation) for job in jobs) else "runs"


def _perform(job: Job) -> None:
    if isinstance(job, PlannedEvaluation):
        job.evaluate()
    else:
        run_one(job)


def _needed_by(job: Job, jobs: Sequence[Job]) -> List[Job]:
    """Return those of ``jobs`` that must be finished before ``job``."""
    return [other for other in jobs if job.needs(other)]


def _failed_need(job: Job, failures: Dict[str, str], jobs: Sequence[Job]) -> Optional[str]:
    """Return the message of a job that cannot start because one that it needs failed; None where it can."""
    return next((f"needs {other}, which failed" for other in _needed_by(job, jobs) if str(other) in failures), None)


def _message(job: Job, error: BaseException) -> str:
    if isinstance(error, InputError):
        return str(error)
    text = file_error(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    return f"{text} (see {job.log})"


def _one_by_one(todo: List[Job], progress: _Progress) -> Dict[str, str]:
    failures: Dict[str, str] = {}
    for job in todo:
        error = _failed_need(job, failures, todo)
        try:
            if error is None:
                _perform(job)
        except Exception as caught:  # the other jobs go on
            logger.debug("%s", job, exc_info=True)
            error = _message(job, caught)
        if error:
            failures[str(job)] = error
        progress.log(job, error)
    return failures


def _with_changed_run(job: Job, change: Callable[[PlannedRun], PlannedRun]) -> Job:
    """Return a job with its run changed: a run itself, or the run that is evaluated."""
    return replace(job, run=change(job.run)) if isinstance(job, PlannedEvaluation) else change(job)


def _with_absolute_paths(run: PlannedRun) -> PlannedRun:
    """Return a run whose folders do not depend on the working directory of its process."""
    data_path = run.configuration().resolved["data_path"]
    return replace(run, folder=run.folder.resolve(), keys={**run.keys, "data_path": str(Path(data_path).resolve())})


def _perform_in_worker(job: Job, gpus: float, models: Sequence[str]) -> Optional[str]:
    """Perform a job in a process of Ray; return the message of a failure."""
    start_logging("error")
    name_user_models(models)
    device = worker_device_keys(gpus)
    try:
        _perform(_with_changed_run(job, lambda run: replace(run, keys={**run.keys, **device})))
    except Exception as error:
        return _message(job, error)
    return None


def _with_ray(
    todo: List[Job], progress: _Progress, parallel: int, gpus: float, address: Optional[str]
) -> Dict[str, str]:
    import ray

    failures: Dict[str, str] = {}

    def end(job: Job, error: Optional[str]) -> None:
        if error:
            failures[str(job)] = error
        progress.log(job, error)

    with ray_session(address):
        check_gpu_share(gpus)
        task: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0, max_calls=1)(_perform_in_worker)
        waiting = list(todo)
        running: Dict[Any, Job] = {}
        while waiting or running:
            unfinished = [*waiting, *running.values()]
            for job in list(waiting):
                error = _failed_need(job, failures, todo)
                if error:
                    waiting.remove(job)
                    end(job, error)
                elif len(running) < parallel and not _needed_by(job, unfinished):
                    waiting.remove(job)
                    running[task.remote(_with_changed_run(job, _with_absolute_paths), gpus, named_user_models())] = job
            if not running:
                continue
            ready, _ = ray.wait(list(running), num_returns=1)
            job = running.pop(ready[0])
            try:
                end(job, ray.get(ready[0]))
            except ray.exceptions.RayError as caught:  # the process died
                end(job, _message(job, caught))
    return failures
