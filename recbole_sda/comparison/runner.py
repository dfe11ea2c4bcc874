"""Running the cells of a plan: those that are not done, several at once where there is room."""

import logging
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, List, Optional

from recbole_sda.comparison.plan import PlannedRun
from recbole_sda.config.run_config import MACHINE_KEYS
from recbole_sda.engine import experiment
from recbole_sda.engine.run_folder import CONFIG, LOCK, LOG, start_logging
from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import LAST
from recbole_sda.io.locks import exclusive_lock
from recbole_sda.machine.ray_session import check_gpu_share, ray_session, worker_device_keys

logger = logging.getLogger(__name__)


def run_cell(cell: PlannedRun) -> None:
    """Make the run of a cell: go on with an interrupted one, leave a finished one alone.

    Raises:
        InputError: another process is at this run, or the folder holds something else than a run.
    """
    cell.folder.parent.mkdir(parents=True, exist_ok=True)
    lock = cell.folder.with_name(f"{cell.folder.name}.lock")
    with exclusive_lock(lock, f"{cell.folder}: another process is at this run"):
        _run(cell)


def _run(cell: PlannedRun) -> None:
    if cell.is_done:
        return
    if (cell.folder / LAST).is_file():
        machine = {key: value for key, value in cell.keys.items() if key in MACHINE_KEYS}
        experiment.resume(cell.folder, machine)
        return
    if cell.folder.is_dir() and any(cell.folder.iterdir()):  # a run that ended before its first epoch
        if not (cell.folder / CONFIG).is_file() and {path.name for path in cell.folder.iterdir()} - {LOG, LOCK}:
            raise InputError(f"{cell.folder} exists and is not a run folder; choose another --out, or remove it")
        shutil.rmtree(cell.folder)
    experiment.run(cell.row.model, cell.dataset, (), {**cell.keys, "run_dir": str(cell.folder)})


def run_cells(
    cells: List[PlannedRun], parallel: int = 1, gpus: float = 0.0, address: Optional[str] = None
) -> Dict[str, str]:
    """Run all cells that are not done.

    Args:
        cells: each after those that it needs.
        parallel: how many at once. 1 without ``address``: one after the other in this process.
        gpus: share of a GPU that each takes; 0 without one.
        address: of a Ray cluster (``auto``: the one that this machine belongs to). Its machines share the folders.

    Returns:
        What went wrong: name of the cell -> message. The others are done.
    """
    todo = [cell for cell in cells if not cell.is_done]
    logger.info("%d of %d runs are there already", len(cells) - len(todo), len(cells))
    if not todo:
        return {}
    progress = _Progress(len(todo))
    if parallel == 1 and address is None:
        return _one_by_one(todo, progress)
    return _by_ray(todo, progress, parallel, gpus, address)


class _Progress:
    """A line per finished run."""

    def __init__(self, n: int):
        self.n, self.done, self.started = n, 0, time.time()

    def tell(self, cell: PlannedRun, error: Optional[str]) -> None:
        self.done += 1
        spent = time.time() - self.started
        left = spent / self.done * (self.n - self.done)
        state = f"failed: {error}" if error else "done"
        rest = f"; about {_minutes(left)} left" if self.done < self.n else ""
        logger.info("%d of %d, %s after %s%s: %s", self.done, self.n, state, _minutes(spent), rest, cell)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _blocked(cell: PlannedRun, failed: Dict[str, str], cells: List[PlannedRun]) -> Optional[str]:
    """Return why a cell cannot run: one that it needs failed."""
    for other in cells:
        same = (other.dataset, other.seed) == (cell.dataset, cell.seed)
        if same and other.row.name in cell.row.needs and str(other) in failed:
            return f"needs {other}, which failed"
    return None


def _message(cell: PlannedRun, error: BaseException) -> str:
    if isinstance(error, InputError):
        return str(error)
    return f"{type(error).__name__}: {error} (see {cell.folder / LOG})"


def _one_by_one(todo: List[PlannedRun], progress: _Progress) -> Dict[str, str]:
    failed: Dict[str, str] = {}
    for cell in todo:
        error = _blocked(cell, failed, todo)
        try:
            if error is None:
                run_cell(cell)
        except Exception as caught:  # one broken run must not take the others with it
            logger.debug("%s", cell, exc_info=True)
            error = _message(cell, caught)
        if error:
            failed[str(cell)] = error
        progress.tell(cell, error)
    return failed


def _for_any_machine(cell: PlannedRun) -> PlannedRun:
    """Return a cell whose folders do not depend on where its process starts."""
    data_path = cell.configuration().resolved["data_path"]
    return replace(cell, folder=cell.folder.resolve(), keys={**cell.keys, "data_path": str(Path(data_path).resolve())})


def _remote(cell: PlannedRun, gpus: float) -> Optional[str]:
    start_logging("error")
    try:
        run_cell(replace(cell, keys={**cell.keys, **worker_device_keys(gpus)}))
    except Exception as error:
        return _message(cell, error)
    return None


def _by_ray(
    todo: List[PlannedRun], progress: _Progress, parallel: int, gpus: float, address: Optional[str]
) -> Dict[str, str]:
    import ray

    with ray_session(address):
        check_gpu_share(gpus)
        task: Callable = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0, max_calls=1)(_remote)
        failed: Dict[str, str] = {}
        waiting, running = list(todo), {}
        while waiting or running:
            unfinished = {str(cell) for cell in [*waiting, *running.values()]}
            for cell in list(waiting):
                error = _blocked(cell, failed, todo)
                if error:
                    waiting.remove(cell)
                    failed[str(cell)] = error
                    progress.tell(cell, error)
                elif len(running) < parallel and not _needs_any(cell, unfinished, todo):
                    waiting.remove(cell)
                    running[task.remote(_for_any_machine(cell), gpus)] = cell
            if not running:
                continue
            ready, _ = ray.wait(list(running), num_returns=1)
            cell = running.pop(ready[0])
            try:
                error = ray.get(ready[0])
            except ray.exceptions.RayError as caught:  # the process died
                error = _message(cell, caught)
            if error:
                failed[str(cell)] = error
            progress.tell(cell, error)
    return failed


def _needs_any(cell: PlannedRun, unfinished, cells: List[PlannedRun]) -> bool:
    names = [str(c) for c in cells if (c.dataset, c.seed) == (cell.dataset, cell.seed) and c.row.name in cell.row.needs]
    return any(name in unfinished for name in names)
