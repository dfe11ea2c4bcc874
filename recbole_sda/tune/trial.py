"""One trial of a search: training and validation without test data; an interrupted trial can be resumed."""

import hashlib
import json
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from recbole_sda.engine.run import build, configure
from recbole_sda.engine.run_folder import LOG, write_config
from recbole_sda.engine.run_tracking import track_run
from recbole_sda.engine.train_log import HISTORY, read_history
from recbole_sda.io.atomic_write import named_errors
from recbole_sda.io.checkpoint import LAST, write_item_tokens
from recbole_sda.io.logs import log_to
from recbole_sda.io.yaml import read_yaml
from recbole_sda.model.item_features import item_tokens
from recbole_sda.tracking.settings import KEYS as TRACKING_KEYS

Report = Callable[[int, float, float], None]


class Trial(NamedTuple):
    """A trial.

    Attributes:
        model: name of the model.
        dataset: name of the data set.
        config_files: YAML files, absolute paths.
        keys: further keys, including those that are searched for.
        folder: run folder, see :func:`trial_folder`.
    """

    model: str
    dataset: str
    config_files: Tuple[str, ...]
    keys: Dict[str, Any]
    folder: Path


class Outcome(NamedTuple):
    """Validation result of a trial.

    Attributes:
        score: the best validation score.
        epoch: its epoch, from 1.
        epochs: number of epochs trained.
    """

    score: float
    epoch: int
    epochs: int


def trial_folder(
    out: Path, model: str, dataset: str, config_files: Tuple[str, ...], keys: Dict[str, Any], inputs: Dict[str, str]
) -> Path:
    """Return the folder of a trial, named by a hash of all inputs of its result.

    The place of the data and trackers are none of them: a search continues with the same data in another folder.

    Args:
        out: folder of the search.
        model: name of the model.
        dataset: name of the data set.
        config_files: YAML files; their values are hashed.
        keys: further keys.
        inputs: hashes of the interaction files and feature vectors.
    """
    values = [_inputs_among(read_yaml(path)) for path in config_files]
    content = json.dumps([model, dataset, values, _inputs_among(keys), inputs], default=str, sort_keys=True)
    return out / "trials" / hashlib.sha256(content.encode()).hexdigest()[:12]


def _inputs_among(keys: Dict[str, Any]) -> Dict[str, Any]:
    return {str(key): value for key, value in keys.items() if key not in ("data_path", *TRACKING_KEYS)}


def train_trial(trial: Trial, report: Report, machine: Optional[Dict[str, Any]] = None) -> None:
    """Train a trial, or resume it where it was interrupted.

    The data are loaded without their test part, so test data cannot influence the search.

    Args:
        trial: the trial.
        report: called after each validation with the epoch (from 1), its score and the best score up to it. Validations from
            before an interruption are reported first, so that a scheduler gets the same sequence as without it.
        machine: keys of this process, such as its GPU.
    """
    config = configure(trial.model, trial.dataset, trial.config_files, {**trial.keys, **(machine or {})})
    trial.folder.mkdir(parents=True, exist_ok=True)
    with log_to(trial.folder / LOG), named_errors(trial.folder):  # TensorBoard's writer names no file
        run = build(config, trial.folder, with_test=False)
        resumed = (trial.folder / LAST).is_file()
        if resumed:
            run.trainer.resume(run.data.train)
        # A trial trains no base model, nor does its resumption.
        once = {"base_fallback": False} if config["base_fallback"] else {}
        write_config(trial.folder, {**config.resolved, **once})
        if not resumed:
            (trial.folder / HISTORY).unlink(missing_ok=True)
            write_item_tokens(trial.folder, item_tokens(run.data.dataset))
        bigger = run.trainer.valid_metric_bigger
        best: List[float] = []

        def report_epoch(epoch: int, score: float) -> None:
            best[:] = [score if not best else (max if bigger else min)(best[0], score)]
            report(epoch + 1, score, best[0])

        for epoch, score in scores(trial.folder, config["valid_metric"]):
            report_epoch(epoch, score)
        with track_run(run, parent=trial.folder.parents[1]):
            run.trainer.fit(run.data.train, run.data.valid, callback_fn=report_epoch)


def scores(folder: Path, valid_metric: str) -> List[Tuple[int, float]]:
    """Return the epoch (from 0) and the validation score of each finished evaluation."""
    return [(line["epoch"], line[valid_metric.lower()]) for line in read_history(folder) if line["phase"] == "valid"]


def outcome(folder: Path, valid_metric: str, bigger: bool) -> Optional[Outcome]:
    """Return the validation result of a trial; None before its first evaluation.

    Of several epochs with the best score, it is the last, as in training.

    Args:
        folder: run folder of the trial.
        valid_metric: name of the validation metric.
        bigger: whether larger scores are better.
    """
    evaluations = scores(folder, valid_metric)
    if not evaluations:
        return None
    epoch, score = max(evaluations, key=lambda pair: (pair[1] if bigger else -pair[1], pair[0]))
    return Outcome(score, epoch + 1, evaluations[-1][0] + 1)
