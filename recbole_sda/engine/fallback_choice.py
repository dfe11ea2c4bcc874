"""Which of the two models of a run with ``base_fallback`` validation data chose, as a file of the run folder."""

import json
import logging
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Collection, Optional

from recbole_sda.config.companion_keys import FEATURE_KEYS
from recbole_sda.engine.train_log import HISTORY
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import atomic_write, write_text
from recbole_sda.io.checkpoint import BEST, LAST
from recbole_sda.io.json import read_json
from recbole_sda.io.schema import COUNT, NUMBER
from recbole_sda.model.settings import BASE_VALUES
from recbole_sda.validation import check_choice

logger = logging.getLogger(__name__)

CHOICE = "fallback.json"
BASE_FOLDER = "base"  # of the base model, inside the run folder, until the choice is carried out
OTHER_HISTORIES = {"base": "history-content.jsonl", "content": "history-base.jsonl"}  # by what was kept
SHAPE = {
    "kept": str, "metric": str, "base": NUMBER, "content": NUMBER, "epochs": COUNT, "stopping_step": COUNT, "carried_out": bool,
}  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """A choice between an SDA version and its base model.

    Attributes:
        kept: ``base`` or ``content``.
        metric: the metric of the validation data that decided.
        base, content: its value for the best epoch of each.
        epochs, stopping_step: the keys of both trainings.
        carried_out: whether the files of the run folder are those of the model that was kept.
    """

    kept: str
    metric: str
    base: float
    content: float
    epochs: int
    stopping_step: int
    carried_out: bool = False

    def __str__(self) -> str:
        of = {"base": "the base model was kept", "content": "content was kept"}[self.kept]
        return (
            f"base_fallback: {of}: validation {self.metric} {self.base:.4f} without content, {self.content:.4f} with it, "
            f"after up to {self.epochs} epochs"
        )


def read_choice(run_dir: Path) -> Optional[Choice]:
    """Return the choice of a run; None without one.

    Raises:
        InputError: its file is damaged.
    """
    path = run_dir / CHOICE
    if not path.is_file():
        return None
    choice = Choice(**read_json(path, SHAPE))
    check_choice(f"{path}: kept", choice.kept, OTHER_HISTORIES)
    return choice


def write_choice(run_dir: Path, choice: Choice) -> None:
    """Write the choice of a run atomically."""
    write_text(run_dir / CHOICE, json.dumps(asdict(choice), indent=2) + "\n")


def forget_choice(run_dir: Path) -> None:
    """Remove what an earlier training of a run left of a choice."""
    for name in (CHOICE, *OTHER_HISTORIES.values()):
        (run_dir / name).unlink(missing_ok=True)
    shutil.rmtree(run_dir / BASE_FOLDER, ignore_errors=True)


def carry_out(run_dir: Path) -> None:
    """Make the files of a run folder those of the model that was kept, and remove the other one's weights; under its lock.

    The base model's events of TensorBoard become ``tensorboard/base``. A run that is killed here is carried out when it is
    resumed.
    """
    choice, base = read_choice(run_dir), run_dir / BASE_FOLDER
    if choice is None:
        return
    if not choice.carried_out:
        _take_files(run_dir, base, choice)
        write_choice(run_dir, replace(choice, carried_out=True))
    shutil.rmtree(base, ignore_errors=True)


def _take_files(run_dir: Path, base: Path, choice: Choice) -> None:
    if not (base / HISTORY).is_file():
        raise InputError(
            f"{run_dir / CHOICE}: carried_out is false, but {base} with the base model is missing; train anew"
        )
    events = run_dir / "tensorboard" / BASE_FOLDER
    if (base / "tensorboard").is_dir():
        shutil.rmtree(events, ignore_errors=True)
        events.parent.mkdir(exist_ok=True)
        (base / "tensorboard").rename(events)
    other = run_dir / OTHER_HISTORIES[choice.kept]
    if choice.kept == "base":
        if not other.is_file():  # else the run's own history may be the base model's already
            _copy(run_dir / HISTORY, other)
        for name in (HISTORY, LAST, BEST):
            _copy(base / name, run_dir / name)
    else:
        _copy(base / HISTORY, other)


def _copy(source: Path, target: Path) -> None:
    with atomic_write(target) as draft:
        shutil.copyfile(source, draft)


def follow_choice(run_dir: Path, config: Any, given: Collection[str]) -> None:
    """Make the configuration of an existing run that of the model that was kept.

    Args:
        run_dir: the run folder.
        config: its configuration, changed in place.
        given: keys that were given beside it; a warning names those that the base model does not read.

    Raises:
        InputError: the files of the run folder are not yet those of the model that was kept.
    """
    choice = read_choice(run_dir)
    if choice is None:
        return
    if not choice.carried_out:
        raise InputError(
            f"{run_dir}: base_fallback has chosen, and its files are not yet in place; --resume={run_dir} ends it"
        )
    if choice.kept == "base":
        without = sorted({*FEATURE_KEYS} & {*given})
        if without:
            logger.warning("%s: without effect, as base_fallback kept the base model: %s", run_dir, ", ".join(without))
        leave_content_out(config)


def leave_content_out(config: Any) -> None:
    """Set the keys of an SDA version's configuration with which it is its base model, bit for bit; ``resolved`` stays."""
    for key, value in {**BASE_VALUES, "base_fallback": False}.items():
        config[key] = value
