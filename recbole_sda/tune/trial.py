"""One trial: training and validation of a setting, without test data, able to go on where it was stopped."""

import hashlib
import json
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from recbole_sda.engine.run import build, configure
from recbole_sda.engine.run_folder import LOG, write_config
from recbole_sda.engine.train_log import HISTORY, read_history
from recbole_sda.io.checkpoint import LAST, write_item_tokens
from recbole_sda.io.logs import log_to
from recbole_sda.model.item_features import item_tokens

Report = Callable[[int, float, float], None]


class Trial(NamedTuple):
    """A setting that is tried.

    Attributes:
        model, dataset: of the run.
        config_files: YAML files, absolute paths.
        keys: further keys, those of the search among them.
        folder: of the run; named by what it holds, see :func:`trial_folder`.
    """

    model: str
    dataset: str
    config_files: Tuple[str, ...]
    keys: Dict[str, Any]
    folder: Path


class Outcome(NamedTuple):
    """What validation said of a trial: the best score, its epoch (from 1), and the epochs trained."""

    score: float
    epoch: int
    epochs: int


def trial_folder(
    out: Path, model: str, dataset: str, config_files: Tuple[str, ...], keys: Dict[str, Any], inputs: Dict[str, str]
) -> Path:
    """Return the folder of a trial, named by a hash of all that makes its result: the text of its files, data and vectors too."""
    texts = [Path(path).read_text(encoding="utf-8") for path in config_files]
    content = json.dumps([model, dataset, texts, sorted(keys.items()), sorted(inputs.items())], default=str)
    return out / "trials" / hashlib.sha256(content.encode()).hexdigest()[:12]


def train_trial(trial: Trial, report: Report, machine: Optional[Dict[str, Any]] = None) -> None:
    """Train a trial; go on where it was stopped.

    The data are loaded without their test part, so no number of it can reach the search.

    Args:
        trial: the setting.
        report: told epoch (from 1), validation score and best score so far after each validation, those of an earlier
            start first, so that a scheduler sees the same as without the interruption.
        machine: keys of this process, such as its GPU.
    """
    config = configure(trial.model, trial.dataset, trial.config_files, {**trial.keys, **(machine or {})})
    trial.folder.mkdir(parents=True, exist_ok=True)
    with log_to(trial.folder / LOG):
        run = build(config, trial.folder, with_test=False)
        if (trial.folder / LAST).is_file():
            run.trainer.resume(run.data.train)
        else:
            write_config(trial.folder, config.resolved)
            (trial.folder / HISTORY).unlink(missing_ok=True)
            write_item_tokens(trial.folder, item_tokens(run.data.dataset))
        bigger = run.trainer.valid_metric_bigger
        best: List[float] = []

        def tell(epoch: int, score: float) -> None:
            best[:] = [score if not best else (max if bigger else min)(best[0], score)]
            report(epoch + 1, score, best[0])

        for epoch, score in scores(trial.folder, config["valid_metric"]):
            tell(epoch, score)
        run.trainer.fit(run.data.train, run.data.valid, callback_fn=tell)


def scores(folder: Path, valid_metric: str) -> List[Tuple[int, float]]:
    """Return epoch (from 0) and validation score of each evaluation so far."""
    return [(line["epoch"], line[valid_metric.lower()]) for line in read_history(folder) if line["phase"] == "valid"]


def outcome(folder: Path, valid_metric: str, bigger: bool) -> Optional[Outcome]:
    """Return what validation said of a trial, None before its first evaluation; of equal scores the last, as in training."""
    found = scores(folder, valid_metric)
    if not found:
        return None
    epoch, score = max(found, key=lambda line: (line[1] if bigger else -line[1], line[0]))
    return Outcome(score, epoch + 1, found[-1][0] + 1)
