"""Trials under Ray Tune: some at once, and ASHA stops the weak ones early."""

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

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

Config = Dict[str, Any]  # what Ray Tune draws for a trial


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
    drawn = {"trial": tune.grid_search(list(range(len(trials))))}
    search = BasicVariantGenerator(max_concurrent=training.parallel)
    ended = fit(
        lambda config: trials[config["trial"]],
        lambda config: settings[config["trial"]],
        tune.TuneConfig(search_alg=search),
        drawn,
        space,
        training,
        scratch,
    )
    errors: List[Optional[str]] = [None] * len(trials)
    for config, error in ended:
        errors[config["trial"]] = error
    return errors


def fit(
    trial_of: Callable[[Config], Trial],
    settings_of: Callable[[Config], Dict[str, Any]],
    search: tune.TuneConfig,
    drawn: Config,
    space: Space,
    training: Training,
    scratch: Path,
) -> List[Tuple[Config, Optional[str]]]:
    """Train the trials of a search of Ray Tune, stopped early by ASHA; return what was drawn for each and its error.

    Args:
        trial_of: returns the trial of what was drawn.
        settings_of: likewise its settings, for the log.
        search: the search algorithm and the number of samples.
        drawn: name -> distribution.
        space: gives ``grace_epochs`` and ``reduction``.
        training: see :class:`Training`.
        scratch: folder of Ray Tune's own files, which is removed at the end.
    """

    def trainable(config: Config) -> None:
        start_logging("error")  # the log is in the trial's folder
        try:
            train_trial(trial_of(config), _report, worker_device_keys(training.gpus))
        except (InputError, OSError) as error:  # Ray would print a traceback
            text = file_error(error) if isinstance(error, OSError) else str(error)
            write_text(_error_file(scratch, config), text)

    search.metric, search.mode = "best", "max" if training.bigger else "min"
    search.scheduler = ASHAScheduler(
        time_attr="epoch",
        max_t=max(training.epochs, space.grace_epochs),
        grace_period=min(space.grace_epochs, training.epochs),
        reduction_factor=space.reduction,
    )
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    progress = _Progress(training.metric, settings_of)
    results = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1, "gpu": training.gpus}),
        param_space=drawn,
        tune_config=search,
        run_config=tune.RunConfig(storage_path=str(scratch), name="search", verbose=0, callbacks=[progress]),
    ).fit()
    ended = [(result.config or {}, _error_of(result, scratch)) for result in (results[k] for k in range(len(results)))]
    shutil.rmtree(scratch, ignore_errors=True)
    return ended


def _error_file(scratch: Path, config: Config) -> Path:
    """Return the file with the error of a trial, by what was drawn for it."""
    drawn = json.dumps(config, sort_keys=True, default=str)
    return scratch / f"{hashlib.sha256(drawn.encode()).hexdigest()[:16]}.error"


def _error_of(result: Any, scratch: Path) -> Optional[str]:
    path = _error_file(scratch, result.config or {})
    if path.is_file():
        return one_line(ValueError(read_text(path)), 1000)
    return _last_line(result.error) if result.error else None


def _report(epoch: int, score: float, best: float) -> None:
    tune.report({"epoch": epoch, "score": score, "best": best})


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


class _Progress(Callback):
    """Logs a line per ended trial."""

    def __init__(self, metric: str, settings_of: Callable[[Config], Dict[str, Any]]):
        self.metric, self.settings_of, self.n_ended = metric, settings_of, 0

    def _log(self, trial: Any, state: str) -> None:
        self.n_ended += 1
        last = trial.last_result or {}
        text = settings_text(self.settings_of(trial.config))
        best = f"{self.metric} {last['best']:.4f}" if "best" in last else "no evaluation"
        logger.info("trial %d %s: %s after %s epochs | %s", self.n_ended, state, best, last.get("epoch", 0), text)

    def on_trial_complete(self, iteration: int, trials: List[Any], trial: Any, **info: Any) -> None:
        self._log(trial, "ended")

    def on_trial_error(self, iteration: int, trials: List[Any], trial: Any, **info: Any) -> None:
        self._log(trial, "failed")
