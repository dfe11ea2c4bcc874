"""The key ``base_fallback``: a run of an SDA version trains its base model too and keeps the better one on validation data."""

import logging
from pathlib import Path
from typing import Any

from recbole_sda.config.run_config import RunConfig
from recbole_sda.engine.fallback_choice import (
    BASE_FOLDER,
    Choice,
    carry_out,
    forget_choice,
    leave_content_out,
    read_choice,
    write_choice,
)
from recbole_sda.engine.run import Run, build
from recbole_sda.engine.run_folder import CONFIG
from recbole_sda.engine.train_log import HISTORY
from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import LAST
from recbole_sda.machine import torchrun
from recbole_sda.model.registry import base_name

logger = logging.getLogger(__name__)


def better_of_both(run: Run, show_progress: bool = False) -> Run:
    """Return a trained run, or with ``base_fallback`` the run of its base model where that is better on validation data.

    The base model is trained with the same settings and the same seed: it equals, bit for bit, a run of its own. What the run
    folder holds afterwards is of the model that was kept. A training that is interrupted goes on where it ended.

    Args:
        run: the run, after its training.
        show_progress: whether the base model's training shows its progress.

    Raises:
        InputError: the base model cannot be trained, as with a loss that is not finite.
    """
    config, trainer = run.config, run.trainer
    settings: Any = getattr(run.model, "settings", None)
    if settings is None or not config["base_fallback"] or settings == settings.of_base():
        return run
    if settings.shuffle_features:  # the control shows what content does, also where it harms
        return run
    if trainer.best_valid_result is None:
        logger.warning("base_fallback: without validation data nothing chooses; content is kept")
        return run
    earlier = torchrun.run_on_main_process(lambda: read_choice(run.run_dir))
    score, lengths = float(trainer.best_valid_score), (config["epochs"], config["stopping_step"])
    if earlier is not None and (earlier.content, earlier.epochs, earlier.stopping_step) == (score, *lengths):
        return run  # content was kept, and the run was interrupted after that
    if earlier is not None:  # else there may be a base model whose training was interrupted
        torchrun.run_on_main_process(lambda: forget_choice(run.run_dir))
    try:
        base = _trained_base(run, show_progress)
    except InputError as error:
        remedy = f"--resume={run.run_dir} --base_fallback=False keeps content, whose training has ended"
        raise InputError(f"base_fallback: {error}; {remedy}") from error
    theirs = float(base.trainer.best_valid_score)
    better = theirs > score if trainer.valid_metric_bigger else theirs < score
    choice = Choice("base" if better else "content", str(config["valid_metric"]), theirs, score, *lengths)
    logger.info("%s", choice)
    torchrun.run_on_main_process(lambda: _settle(run.run_dir, choice))
    if not better:
        return run
    base.trainer.run_dir, base.trainer.trackers = run.run_dir, trainer.trackers
    return base._replace(run_dir=run.run_dir)


def _trained_base(run: Run, show_progress: bool) -> Run:
    folder = run.run_dir / BASE_FOLDER
    begun = torchrun.run_on_main_process(lambda: (folder / LAST).is_file())
    config = RunConfig(run.config["model"], run.config["dataset"], [str(run.run_dir / CONFIG)], {})
    leave_content_out(config)
    logger.info("base_fallback: without content, as %s", base_name(config["model"]))
    base = build(config, folder, keep_peak=True)
    if begun:
        base.trainer.resume(base.data.train)
    else:
        torchrun.run_on_main_process(lambda: (folder / HISTORY).unlink(missing_ok=True))
    base.trainer.fit(base.data.train, base.data.valid, show_progress=show_progress)
    base.trainer.tensorboard.close()  # its folder moves, when the other processes have closed theirs too
    torchrun.all_gather_lists([])
    return base


def _settle(run_dir: Path, choice: Choice) -> None:
    write_choice(run_dir, choice)
    carry_out(run_dir)
