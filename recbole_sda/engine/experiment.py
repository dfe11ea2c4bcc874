"""One experiment from start to end: configure, load, train, evaluate, write the run folder."""

import logging
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from recbole_sda.config.dataset_files import SAMPLE_SUFFIX
from recbole_sda.config.run_config import MACHINE_KEYS
from recbole_sda.engine.collector import Ranking
from recbole_sda.engine.rank_files import RANKS, group_metrics, write_ranks
from recbole_sda.engine.run import Run, build, configure, load, open_run, settings_of
from recbole_sda.engine.run_folder import (
    LOCK,
    UNCHOSEN,
    environment,
    log_to,
    make_run_dir,
    protocol,
    result_table,
    write_config,
    write_metrics,
)
from recbole_sda.engine.trainer import read_history
from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import LAST, write_item_tokens
from recbole_sda.io.locks import exclusive_lock
from recbole_sda.machine import torchrun
from recbole_sda.machine.memory import peak
from recbole_sda.model.item_features import item_tokens

logger = logging.getLogger(__name__)


# Keys that may change when a run goes on: how long it trains, and what its result does not depend on.
RESUMABLE = {"epochs", "stopping_step", "data_path", *MACHINE_KEYS}
# Keys that may change when a run is evaluated again: none of them is one of training.
EVALUATION = {
    "eval_args", "eval_batch_size", "eval_negatives_seed", "metrics", "topk", "valid_metric", "metric_decimal_place",
    "tail_items", "short_users", "repeatable", "mask_validation", "data_path", *MACHINE_KEYS,
}  # fmt: skip

Rankings = Dict[str, Optional[Ranking]]


def _train_and_report(run: Run) -> Dict[str, Any]:
    config, trainer, data = run.config, run.trainer, run.data
    started = time.time()
    progress = bool(config["show_progress"])
    _, valid_result = trainer.fit(data.train, data.valid, show_progress=progress)
    trained = time.time()
    rankings: Rankings = {"valid": trainer.best_ranking}
    if rankings["valid"] is None and data.valid is not None:
        trainer.evaluate(data.valid, show_progress=progress)
        rankings["valid"] = trainer.eval_collector.ranking
    test_result = trainer.evaluate(data.test, show_progress=progress)
    rankings["test"] = trainer.eval_collector.ranking
    result = _result(run, valid_result, test_result, rankings)
    result["seconds_since_start"] = round(trained - started, 2)
    _write(run, result, rankings, time.time() - trained)
    return result


def _write(run: Run, result: Dict[str, Any], rankings: Rankings, seconds: float) -> None:
    """Write metrics.json and the files of ranks."""
    result["seconds"] = {
        "training": round(sum(line["seconds"] for line in _epochs(run.run_dir)), 2),
        "training_and_validation_since_start": result.pop("seconds_since_start", None),
        "test_evaluation": round(seconds, 2),
    }
    if torchrun.is_main():
        for phase, ranking in rankings.items():
            if ranking is not None:
                path = run.run_dir / RANKS.format(phase=phase)
                write_ranks(path, ranking, run.data.counts, run.config, run.data.dataset)
        write_metrics(run.run_dir, result)


def _epochs(run_dir: Path) -> List[dict]:
    """Return the history's line of each trained epoch."""
    return [line for line in read_history(run_dir) if line["phase"] == "train"]


def _selection(run_dir: Path) -> str:
    """Say what chose the epoch of a run: its own metric, whatever it is evaluated by now."""
    if not any(line["phase"] == "valid" for line in read_history(run_dir)):
        return UNCHOSEN
    return f"{settings_of(run_dir)['valid_metric']} on validation data"


def _result(run: Run, valid_result, test_result, rankings: Rankings) -> Dict[str, Any]:
    config, model = run.config, run.model
    return {
        "model": config["model"],
        "dataset": config["dataset"],
        "miniature": config["dataset"].endswith(SAMPLE_SUFFIX),
        "protocol": protocol(config, run.data.dataset.item_num - 1, _selection(run.run_dir)),
        "valid": None if valid_result is None else {k: float(v) for k, v in valid_result.items()},
        "test": {k: float(v) for k, v in test_result.items()},
        "groups": {
            phase: group_metrics(ranking, run.data.counts, config, phase)
            for phase, ranking in rankings.items()
            if ranking is not None
        },
        "best_epoch": run.trainer.best_epoch + 1,
        "epochs_run": len(_epochs(run.run_dir)),
        "training_batches": getattr(run.data.train, "kind", "as RecBole's"),
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "peak_memory_gib": peak(config["device"]),
        "features": getattr(model, "feature_record", None),
        "inputs": run.data.inputs,
        "environment": environment(config["device"]),
        "run_dir": str(run.run_dir),
    }


def run(
    model: str,
    dataset: str,
    config_files: Sequence[str] = (),
    overrides: Optional[Dict[str, Any]] = None,
) -> Dict[str, Any]:
    """Train and evaluate a model; leave a run folder.

    Args:
        model: a *_SDA model or one of RecBole's own.
        dataset: a folder of ``data_path`` with RecBole atomic files.
        config_files: YAML files, later ones win.
        overrides: further keys; they win over the files.

    Returns:
        The content of ``metrics.json``: ``valid`` and ``test`` metrics, ``protocol``, ``run_dir`` and more.

    Raises:
        InputError: something that was given cannot be used.
    """
    config = configure(model, dataset, config_files, overrides)
    run_dir = torchrun.run_on_main_process(lambda: make_run_dir(config))
    with _in_run_folder(run_dir):
        logger.info("run folder %s", run_dir)
        if torchrun.is_main():
            write_config(run_dir, config.resolved)
        built = build(config, run_dir)
        if torchrun.is_main():
            write_item_tokens(run_dir, item_tokens(built.data.dataset))
        return _finish(built)


def _finish(built: Run) -> Dict[str, Any]:
    result = _train_and_report(built)
    logger.info("%s\n%s", built.run_dir, result_table(result))
    return result


@contextmanager
def _in_run_folder(run_dir: Path) -> Iterator[None]:
    """Inside, this process alone is at the folder, and messages go to its log.

    A folder whose run ended before its first epoch is removed.
    """
    if not torchrun.is_main():
        yield
        return
    with (
        exclusive_lock(run_dir / LOCK, f"{run_dir}: another process is at this run"),
        _removed_if_nothing_came(run_dir),
    ):
        with log_to(run_dir):
            yield


@contextmanager
def _removed_if_nothing_came(run_dir: Path) -> Iterator[None]:
    try:
        yield
    except (InputError, KeyboardInterrupt) as error:
        if not (run_dir / LAST).is_file():
            shutil.rmtree(run_dir)
        elif isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"go on with --resume={run_dir}") from None
        raise


def _refuse_others(flag: str, run_dir: Path, overrides: Optional[Dict[str, Any]], allowed: Set[str]) -> None:
    """Refuse to change a key of a run that is not among those that may change."""
    made = settings_of(run_dir)
    for key, value in (overrides or {}).items():
        if key not in allowed and value != made.get(key):
            raise InputError(
                f"{flag}={run_dir}: {key} is {made.get(key)!r} there and stays so, not {value!r}; what may change is "
                f"{', '.join(sorted(allowed))}. Another run is made without {flag}"
            )


def evaluate(run_dir, overrides: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    """Evaluate the best epoch of a run again, perhaps under another protocol; write ``evaluation-<time>.json``.

    Args:
        run_dir: the run folder.
        overrides: keys of :data:`EVALUATION`; a split with another training part is refused.

    Returns:
        What :func:`run` returns.

    Raises:
        InputError: a key is of training, or the folder's weights do not belong to the data at hand.
    """
    _refuse_others("--load", Path(run_dir), overrides, EVALUATION)
    run = load(run_dir, overrides)
    result, _ = _evaluate(run)
    if torchrun.is_main():
        write_metrics(run.run_dir, result, f"evaluation-{time.strftime('%Y%m%d-%H%M%S')}.json")
    logger.info("%s\n%s", run.run_dir, result_table(result))
    return result


def evaluate_untested_run(run_dir) -> Dict[str, Any]:
    """Write the result of a run that was trained without its test part: metrics and ranks of its best epoch.

    Returns:
        What :func:`run` returns.
    """
    run = load(run_dir)
    started = time.time()
    result, rankings = _evaluate(run)
    _write(run, result, rankings, time.time() - started)
    return result


def _evaluate(run: Run) -> Tuple[Dict[str, Any], Rankings]:
    """Evaluate the weights at hand on validation and test data."""
    results, rankings = {}, {}
    for phase, part in (("valid", run.data.valid), ("test", run.data.test)):
        if part is not None:
            results[phase] = run.trainer.evaluate(part, load_best_model=False)
            rankings[phase] = run.trainer.eval_collector.ranking
    return _result(run, results.get("valid"), results["test"], rankings), rankings


def resume(run_dir, overrides: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    """Train an interrupted run on from the end of its last epoch.

    On the CPU, in one process, the result equals that of a run without interruption.

    Args:
        run_dir: the run folder.
        overrides: keys of :data:`RESUMABLE`; any other key keeps the run's value.

    Returns:
        What :func:`run` returns.

    Raises:
        InputError: the folder is no run, does not fit the data at hand, or a key would make another run of it.
    """
    run_dir = Path(run_dir)
    _refuse_others("--resume", run_dir, overrides, RESUMABLE)
    if not (run_dir / LAST).is_file():
        raise InputError(f"{run_dir} has no {LAST}: the run ended before its first epoch; start it anew")
    with _in_run_folder(run_dir):
        run = open_run(run_dir, overrides)
        run.trainer.resume(run.data.train)
        if torchrun.is_main():
            write_config(run_dir, run.config.resolved)
        return _finish(run)
