"""One experiment from start to end: train, evaluate and write the run folder; resume it, evaluate it again."""

import logging
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Sequence, Set, Tuple, Union

from recbole_sda.config.run_config import MACHINE_KEYS
from recbole_sda.engine.base_fallback import better_of_both
from recbole_sda.engine.energy import EnergyMeter
from recbole_sda.engine.fallback_choice import carry_out, forget_choice
from recbole_sda.engine.list_report import list_data
from recbole_sda.engine.result import Rankings, make_result, write_result
from recbole_sda.engine.run import Run, build, configure, load, open_run, settings_of
from recbole_sda.engine.run_folder import LOCK, LOG, METRICS, make_run_dir, write_config, write_metrics
from recbole_sda.engine.run_tracking import describe_result, track_run
from recbole_sda.engine.summary import result_table
from recbole_sda.engine.train_log import HISTORY
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import named_errors, remove_file_drafts
from recbole_sda.io.checkpoint import LAST, write_item_tokens
from recbole_sda.io.locks import exclusive_lock
from recbole_sda.io.logs import log_to
from recbole_sda.machine import torchrun
from recbole_sda.model.item_features import item_tokens

logger = logging.getLogger(__name__)

# Keys that may change when a run is resumed: the length of training, and what the result does not depend on.
RESUMABLE = {"epochs", "stopping_step", "base_fallback", "data_path", *MACHINE_KEYS}
# Keys that may change when a run is evaluated again: those that training does not depend on.
EVALUATION: Set[str] = {
    "eval_args", "eval_batch_size", "eval_negatives_seed", "metrics", "topk", "valid_metric", "metric_decimal_place",
    "tail_items", "short_users", "repeatable", "mask_history", "mask_validation", "cold_item_scale",
    "list_metrics", "list_features", "list_categories", "data_path", *MACHINE_KEYS,
}  # fmt: skip


def run(
    model: str,
    dataset: str,
    config_files: Sequence[str] = (),
    overrides: Optional[Dict[str, Any]] = None,
) -> Dict[str, Any]:
    """Train and evaluate a model, and write a run folder.

    Args:
        model: a *_SDA model or one of RecBole's own.
        dataset: name of a folder in ``data_path`` with RecBole atomic files. A supported data set that is not prepared is
            replaced by its built-in miniature.
        config_files: YAML files with keys; later files win.
        overrides: further keys; they win over the files.

    Returns:
        The content of ``metrics.json``: ``valid`` and ``test`` metrics, ``protocol``, ``run_dir`` and more.

    Raises:
        InputError: a name, file, key or value cannot be used.

    Example:
        >>> import os, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> os.makedirs(f"{folder.name}/toy")
        >>> with open(f"{folder.name}/toy/toy.inter", "w") as file:
        ...     rows = [f"u{u}\\ti{(3 * u + t) % 9}\\t{t}" for u in range(9) for t in range(5)]
        ...     print("user_id:token\\titem_id:token\\ttimestamp:float", *rows, sep="\\n", file=file)
        >>> keys = {"data_path": folder.name, "runs_path": f"{folder.name}/runs", "epochs": 1, "use_gpu": False}
        >>> result = run("BPR", "toy", overrides={**keys, "topk": [5], "metrics": ["Hit"], "valid_metric": "Hit@5"})
        >>> list(result["test"]), result["best_epoch"], result["protocol"]["items"]
        (['hit@5'], 1, 9)
        >>> os.path.isfile(f"{result['run_dir']}/metrics.json")
        True
        >>> folder.cleanup()
    """
    config = configure(model, dataset, config_files, overrides)
    run_dir = torchrun.run_on_main_process(lambda: make_run_dir(config))
    with _in_run_folder(run_dir):
        logger.info("run folder %s", run_dir)
        if torchrun.is_main():
            write_config(run_dir, config.resolved)
        built = build(config, run_dir)
        torchrun.run_on_main_process(lambda: _begin(built))
        return _train_and_report(built)


def resume(run_dir: Union[str, Path], overrides: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    """Continue the training of a run after its last completed epoch.

    On the CPU, in one process, the result equals that of a run without interruption.

    Args:
        run_dir: the run folder.
        overrides: keys of :data:`RESUMABLE`, for example ``{"epochs": 300}``; any other key keeps the run's value.

    Returns:
        What :func:`run` returns.

    Raises:
        InputError: the folder is no run folder, its weights do not belong to the present data, or a key may not change.

    Example:
        >>> import os, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> os.makedirs(f"{folder.name}/toy")
        >>> with open(f"{folder.name}/toy/toy.inter", "w") as file:
        ...     rows = [f"u{u}\\ti{(3 * u + t) % 9}\\t{t}" for u in range(9) for t in range(5)]
        ...     print("user_id:token\\titem_id:token\\ttimestamp:float", *rows, sep="\\n", file=file)
        >>> keys = {"data_path": folder.name, "runs_path": f"{folder.name}/runs", "epochs": 1, "use_gpu": False}
        >>> result = run("BPR", "toy", overrides={**keys, "topk": [5], "valid_metric": "NDCG@5"})
        >>> resume(result["run_dir"], {"epochs": 3})["epochs_run"]
        3
        >>> folder.cleanup()
    """
    run_dir = Path(run_dir)
    _check_overrides("--resume", run_dir, overrides, RESUMABLE)
    if (run_dir / METRICS).is_file() and not (run_dir / LAST).is_file():
        raise InputError(f"{run_dir} is finished and has no state of its training ({LAST}): it cannot be continued")
    with _in_run_folder(run_dir, begun=True):
        torchrun.run_on_main_process(lambda: carry_out(run_dir))
        built = open_run(run_dir, overrides)
        if (run_dir / LAST).is_file():
            built.trainer.resume(built.data.train)
        else:
            logger.info("%s ended before its first epoch was saved; its training begins again", run_dir)
            torchrun.run_on_main_process(lambda: _begin(built))
        if torchrun.is_main():
            write_config(run_dir, built.config.resolved)
        return _train_and_report(built)


def evaluate(run_dir: Union[str, Path], overrides: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    """Evaluate the best epoch of a run again, also under another protocol; write ``evaluation-<time>.json``.

    Args:
        run_dir: the run folder.
        overrides: keys of :data:`EVALUATION`. A split with another training part is refused.

    Returns:
        What :func:`run` returns.

    Raises:
        InputError: training depends on a key, or the weights do not belong to the present data.

    Example:
        >>> import os, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> os.makedirs(f"{folder.name}/toy")
        >>> with open(f"{folder.name}/toy/toy.inter", "w") as file:
        ...     rows = [f"u{u}\\ti{(3 * u + t) % 9}\\t{t}" for u in range(9) for t in range(5)]
        ...     print("user_id:token\\titem_id:token\\ttimestamp:float", *rows, sep="\\n", file=file)
        >>> keys = {"data_path": folder.name, "runs_path": f"{folder.name}/runs", "epochs": 1, "use_gpu": False}
        >>> result = run("BPR", "toy", overrides={**keys, "topk": [5], "valid_metric": "NDCG@5"})
        >>> again = evaluate(result["run_dir"], {"eval_args": {"mode": "uni3"}, "topk": [1], "valid_metric": "NDCG@1"})
        >>> again["protocol"]["evaluation"]["test"], "hit@1" in again["test"]
        ('3 uniform negatives', True)
        >>> folder.cleanup()
    """
    _check_overrides("--load", Path(run_dir), overrides, EVALUATION)
    run = load(run_dir, overrides)
    result, _ = evaluate_weights(run)
    if torchrun.is_main():
        write_metrics(run.run_dir, result, f"evaluation-{time.strftime('%Y%m%d-%H%M%S')}.json")
    logger.info("results are in %s\n%s", run.run_dir, result_table(result))
    return result


def evaluate_untested_run(run_dir: Union[str, Path], overrides: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    """Evaluate the best epoch of a run that was trained without its test part, and write its metrics and ranks.

    Args:
        run_dir: the run folder.
        overrides: keys that replace those of the run, such as the place of its data.

    Returns:
        What :func:`run` returns.
    """
    run = load(run_dir, overrides)
    started = time.time()
    result, rankings = evaluate_weights(run)
    write_result(run, result, rankings, time.time() - started)
    return result


def _check_overrides(flag: str, run_dir: Path, overrides: Optional[Dict[str, Any]], allowed: Set[str]) -> None:
    """Refuse to change the value of a run's key that is not among those that may change."""
    settings = settings_of(run_dir)
    for key, value in (overrides or {}).items():
        if key not in allowed and value != settings.get(key):
            raise InputError(
                f"{flag}={run_dir}: {key} is {settings.get(key)!r} in this run and cannot become {value!r}; keys that may "
                f"change are {', '.join(sorted(allowed))}. For another {key}, start a new run without {flag}"
            )


def _begin(run: Run) -> None:
    """Write what a run folder has before the first epoch, without anything of a training that was killed in its first epoch."""
    write_item_tokens(run.run_dir, item_tokens(run.data.dataset))
    (run.run_dir / HISTORY).unlink(missing_ok=True)
    forget_choice(run.run_dir)


@contextmanager
def _in_run_folder(run_dir: Path, begun: bool = False) -> Iterator[None]:
    """Context manager that holds the run folder's exclusive lock and copies log messages to its log file.

    The folder of a new run that ended before its first epoch is removed. One that was ``begun`` earlier is kept.
    """
    if not torchrun.is_main():
        yield
        return
    with (
        exclusive_lock(run_dir / LOCK, f"{run_dir}: another process is using this run folder"),
        _removed_if_untrained(run_dir, begun),
        log_to(run_dir / LOG),
        named_errors(run_dir),  # TensorBoard's writer names no file
    ):
        remove_file_drafts(run_dir, (run_dir / LAST).parent)
        yield


@contextmanager
def _removed_if_untrained(run_dir: Path, begun: bool) -> Iterator[None]:
    try:
        yield
    except (InputError, KeyboardInterrupt) as error:
        if not begun and not (run_dir / LAST).is_file():
            shutil.rmtree(run_dir)
        elif isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"continue with --resume={run_dir}") from None
        raise


def _train_and_report(run: Run) -> Dict[str, Any]:
    with track_run(run) as trackers:
        result = _train_and_test(run)
        describe_result(trackers, result)
    logger.info("results are in %s\n%s", run.run_dir, result_table(result))
    return result


def _train_and_test(run: Run) -> Dict[str, Any]:
    started, meter = time.time(), EnergyMeter(run.config)
    progress, lists = bool(run.config["show_progress"]), list_data(run)
    with meter.phase("training"):
        run.trainer.fit(run.data.train, run.data.valid, show_progress=progress)
        run = better_of_both(run, progress)
    trained, trainer, data = time.time(), run.trainer, run.data
    rankings: Rankings = {"valid": trainer.best_ranking}
    if rankings["valid"] is None and data.valid is not None:
        trainer.evaluate(data.valid, show_progress=progress)
        rankings["valid"] = trainer.eval_collector.ranking
    with meter.phase("evaluation"):
        test_result = trainer.evaluate(data.test, show_progress=progress)
    rankings["test"] = trainer.eval_collector.ranking
    result = make_result(run, trainer.best_valid_result, test_result, rankings, lists)
    if energy := meter.record():
        result["energy"] = energy
    result["seconds_since_start"] = round(trained - started, 2)
    write_result(run, result, rankings, time.time() - trained)
    return result


def evaluate_weights(run: Run) -> Tuple[Dict[str, Any], Rankings]:
    """Evaluate the present weights on validation and test data; return the result and the ranking of each phase."""
    progress, lists = bool(run.config["show_progress"]), list_data(run)
    results: Dict[str, Dict[str, float]] = {}
    rankings: Rankings = {}
    meter = EnergyMeter(run.config)
    with meter.phase("evaluation"):
        for phase, part in (("valid", run.data.valid), ("test", run.data.test)):
            if part is not None:
                results[phase] = run.trainer.evaluate(part, load_best_model=False, show_progress=progress)
                rankings[phase] = run.trainer.eval_collector.ranking
    result = make_result(run, results.get("valid"), results["test"], rankings, lists)
    if energy := meter.record():
        result["energy"] = energy
    return result, rankings
