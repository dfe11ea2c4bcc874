"""Trials under Ray Tune: some at once, and ASHA stops the weak ones early."""

import logging
import shutil
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from ray import tune
from ray.tune import Callback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import BasicVariantGenerator

from recbole_sda.errors import InputError, file_error, one_line
from recbole_sda.io.atomic_write import write_text
from recbole_sda.io.logs import start_logging
from recbole_sda.io.regular_file import read_text
from recbole_sda.machine.ray_session import worker_device_keys
from recbole_sda.tune.space import Space
from recbole_sda.tune.trial import Trial, train_trial

logger = logging.getLogger(__name__)


class Training(NamedTuple):
    """What the trials of a search have in common.

    Attributes:
        metric: name of the validation metric.
        bigger: whether larger scores are better.
        epochs: maximum number of epochs of a trial.
        parallel: trials at once.
        gpus: share of a GPU for each trial; 0: none.
    """

    metric: str
    bigger: bool
    epochs: int
    parallel: int
    gpus: float


def settings_text(settings: Dict[str, Any]) -> str:
    """Return settings as a line of a log.

    Example:
        >>> settings_text({"learning_rate": 0.00123456, "fusion": "mean"})
        'learning_rate 0.001235, fusion mean'
        >>> settings_text({})  # nothing searched yet
        'the keys as given'
    """
    texts = (f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in settings.items())
    return ", ".join(texts) or "the keys as given"


def run_trials(
    trials: Sequence[Trial], settings: Sequence[Dict[str, Any]], space: Space, training: Training, scratch: Path
) -> List[Optional[str]]:
    """Train trials. Their results are in their folders, see :func:`recbole_sda.tune.trial.outcome`.

    Args:
        trials: the trials.
        settings: the settings of each, for the log.
        space: gives ``grace_epochs`` and ``reduction``.
        training: see :class:`Training`.
        scratch: folder of Ray Tune's own files, which the workers share and which is removed at the end.

    Returns:
        For each trial the error that ended it; None: no error.
    """

    def trainable(config: Dict[str, Any]) -> None:
        start_logging("error")  # the log is in the trial's folder
        try:
            train_trial(trials[config["trial"]], _report, worker_device_keys(training.gpus))
        except (InputError, OSError) as error:  # Ray would print a traceback
            text = file_error(error) if isinstance(error, OSError) else str(error)
            write_text(scratch / f"{config['trial']}.error", text)

    scheduler = ASHAScheduler(
        time_attr="epoch",
        max_t=max(training.epochs, space.grace_epochs),
        grace_period=min(space.grace_epochs, training.epochs),
        reduction_factor=space.reduction,
    )
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1, "gpu": training.gpus}),
        param_space={"trial": tune.grid_search(list(range(len(trials))))},
        tune_config=tune.TuneConfig(
            metric="best",
            mode="max" if training.bigger else "min",
            scheduler=scheduler,
            search_alg=BasicVariantGenerator(max_concurrent=training.parallel),
        ),
        run_config=tune.RunConfig(
            storage_path=str(scratch), name="search", verbose=0, callbacks=[_Progress(training.metric, settings)]
        ),
    )
    results = tuner.fit()
    errors: List[Optional[str]] = [None] * len(trials)
    for k in range(len(results)):
        result = results[k]
        if result.error:
            errors[(result.config or {})["trial"]] = _last_line(result.error)
    for path in scratch.glob("*.error"):
        errors[int(path.stem)] = one_line(ValueError(read_text(path)), 1000)
    shutil.rmtree(scratch, ignore_errors=True)
    return errors


def _report(epoch: int, score: float, best: float) -> None:
    tune.report({"epoch": epoch, "score": score, "best": best})


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


class _Progress(Callback):
    """Logs a line per ended trial."""

    def __init__(self, metric: str, settings: Sequence[Dict[str, Any]]):
        self.metric, self.settings, self.n_ended = metric, settings, 0

    def _log(self, trial: Any, state: str) -> None:
        self.n_ended += 1
        last = trial.last_result or {}
        text = settings_text(self.settings[trial.config["trial"]])
        best = f"{self.metric} {last['best']:.4f}" if "best" in last else "no evaluation"
        logger.info("trial %d %s: %s after %s epochs | %s", self.n_ended, state, best, last.get("epoch", 0), text)

    def on_trial_complete(self, iteration: int, trials: List[Any], trial: Any, **info: Any) -> None:
        self._log(trial, "ended")

    def on_trial_error(self, iteration: int, trials: List[Any], trial: Any, **info: Any) -> None:
        self._log(trial, "failed")
