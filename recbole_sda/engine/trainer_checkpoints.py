"""Checkpoints of a trainer: the best epoch's weights, and everything that continues a training exactly.

Both are plain data; see :mod:`recbole_sda.io.checkpoint`.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Optional, Union

import torch
from torch import nn

from recbole_sda.engine.changed_attributes import ChangedAttributes
from recbole_sda.engine.checkpoint_state import (
    WEIGHTS,
    check_finite,
    check_training_state,
    check_weights,
    restore_streams,
)
from recbole_sda.engine.optimizers import DenseAndSparse
from recbole_sda.engine.random_state import generators, rng_state
from recbole_sda.engine.train_log import HISTORY, read_history, truncate_history
from recbole_sda.engine.warmup import LinearWarmup
from recbole_sda.errors import InputError, one_line
from recbole_sda.io.checkpoint import BEST, LAST, data_identity, from_plain, load_checkpoint, save_checkpoint
from recbole_sda.io.optimizer_state import load_optimizer_state
from recbole_sda.io.schema import check_shape
from recbole_sda.machine import torchrun

from recbole.utils import init_seed  # isort: skip

if TYPE_CHECKING:
    from recbole.trainer import Trainer as RecBoleTrainer
else:
    RecBoleTrainer = object

logger = logging.getLogger(__name__)

FORMAT = 3  # of checkpoints


class CheckpointMixin(RecBoleTrainer):
    """Mixin in front of a RecBole trainer that replaces RecBole's pickled checkpoints.

    Attributes:
        run_dir: the run folder.
        identity: hashes of what the weights belong to, by name. Checkpoints with other hashes are refused. See
            :func:`identity_of`.
        best_epoch: epoch of the best validation result, from 0; -1 before the first validation.
        warmup: of the learning rate; None before the training starts.
        changed: what training changes in model and trainer beside the weights.
        not_in_checkpoints: attributes that :class:`~recbole_sda.engine.changed_attributes.ChangedAttributes` leaves out.
    """

    run_dir: Path
    changed: ChangedAttributes
    # Set anew in each epoch, or restored from an entry of their own.
    not_in_checkpoints = frozenset(
        {"best_ranking", "train_loss_dict", "start_epoch", "best_epoch", "cur_step", "best_valid_score", "best_valid_result",
         "_epoch", "_n_batches", "_line", "trackers"}
    )  # fmt: skip
    identity: Dict[str, str] = {}
    best_epoch = -1
    warmup: Optional[LinearWarmup] = None

    @property
    def _validates(self) -> bool:
        """Whether this training is validated after some of its epochs."""
        return self._valid_data is not None and self.eval_step > 0

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        self.best_epoch = epoch
        torchrun.run_on_main_process(lambda: self._save_best(epoch))

    def _save_best(self, epoch: int) -> None:
        state = {
            "format": FORMAT,
            "model": self.config["model"],
            "dataset": self.config["dataset"],
            "identity": self.identity,
            "epoch": epoch,
            "state_dict": self.model.state_dict(),
            "other_parameter": self.model.other_parameter(),
            "attributes": self.changed.state(),
        }
        save_checkpoint(self.run_dir / BEST, state)
        if not self._validates:
            self._save_last(epoch)

    def _save_last(self, epoch: int) -> None:
        state = {
            "format": FORMAT,
            "model": self.config["model"],
            "identity": self.identity,
            "epoch": epoch,
            "best_epoch": self.best_epoch,
            "cur_step": self.cur_step,
            "best_valid_score": float(self.best_valid_score),
            "best_valid_result": None if self.best_valid_result is None else dict(self.best_valid_result),
            "state_dict": self.model.state_dict(),
            "other_parameter": self.model.other_parameter(),
            "attributes": self.changed.state(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers().items()},
            "warmup": None if self.warmup is None else self.warmup.state_dict(),
            "rng": rng_state(),
            "batches": [generator.get_state() for generator in generators(self._train_data)],
        }
        save_checkpoint(self.run_dir / LAST, state)

    def load_weights(self, path: Union[str, Path]) -> Dict[str, Any]:
        """Load the model's weights from a checkpoint.

        Returns:
            The content of the checkpoint.

        Raises:
            InputError: the checkpoint is of another format, model or data set, or its tensors have other shapes.
        """
        state = load_checkpoint(path)
        if state.get("format") != FORMAT:  # first: an earlier format has other entries
            raise InputError(
                f"{path} is a checkpoint of format {state.get('format')}; this version reads {FORMAT}: train anew"
            )
        if state.get("model") != self.config["model"]:
            raise InputError(f"{path} is a checkpoint of {state.get('model')}, not of {self.config['model']}")
        check_shape(state, WEIGHTS, str(path))
        for name, trained_on in state["identity"].items():
            if self.identity.get(name, trained_on) != trained_on:
                raise InputError(
                    f"{path} was trained on other {name} than {self.config['dataset']} has now with these settings, or in "
                    "another order; restore them, or train anew"
                )
        check_weights(Path(path), state, self.model)
        try:
            self.model.load_state_dict(state["state_dict"])
        except RuntimeError as error:
            raise InputError(f"{path} does not fit this configuration: {one_line(error, 300)}") from None
        check_finite(Path(path), self.model)
        self.model.load_other_parameter(from_plain(state["other_parameter"], self.device))
        counts = {f"model.{name}": number for name, number in state.get("numbers", {}).items()}  # of an earlier version
        try:
            self.changed.restore(from_plain(state.get("attributes", counts), self.device))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return state

    def resume(self, train_data: Any) -> None:
        """Restore the state at the end of the last completed epoch of this run folder.

        Args:
            train_data: the training dataloader that :meth:`fit` will get.
        """
        path = self.run_dir / LAST
        state = self.load_weights(path)
        check_training_state(path, state, self._optimizers(), len(generators(train_data)))
        self._check_progress(path, state)
        warmup = self._start_warmup(train_data)
        for name, optimizer in self._optimizers().items():
            load_optimizer_state(optimizer, state["optimizers"][name], f"{path}: {name}")
        if state.get("warmup") is None:  # a run of a version without warm-up
            warmup.n_steps = 0
        else:
            if len(state["warmup"]["steps"]) != len(warmup.steps):
                raise InputError(
                    f"{path}: warmup: steps of {len(state['warmup']['steps'])} optimizers, expected {len(warmup.steps)}"
                )
            warmup.load_state_dict(state["warmup"])
        self.start_epoch, self.best_epoch = state["epoch"] + 1, state["best_epoch"]
        self.cur_step, self.best_valid_score = state["cur_step"], state["best_valid_score"]
        self.best_valid_result = state["best_valid_result"]
        restore_streams(path, state, generators(train_data))
        if not torchrun.is_main():
            init_seed(self.config["seed"] + torchrun.rank() + self.start_epoch, self.config["reproducibility"])
        torchrun.run_on_main_process(lambda: truncate_history(self.run_dir, self.start_epoch))
        logger.info("resuming %s after epoch %d", self.run_dir, state["epoch"] + 1)

    def _check_progress(self, path: Path, state: Dict[str, Any]) -> None:
        """Compare a state with the history and the metric of its run."""
        last = max((line["epoch"] for line in read_history(self.run_dir) if line["phase"] == "train"), default=-1)
        if state["epoch"] > last:
            raise InputError(
                f"{path}: epoch={state['epoch']}, but the last epoch in {self.run_dir / HISTORY} is {last}"
            )
        metric, best = str(self.config["valid_metric"]).lower(), state["best_valid_result"]
        score, found = state["best_valid_score"], None if best is None else best.get(metric)
        if best is not None and found != score and not (found != found and score != score):  # NaN equals NaN here
            raise InputError(
                f"{path}: best_valid_score={score}, but {metric}={found}: the training was validated by another metric"
            )

    def _start_warmup(self, train_data: Any) -> LinearWarmup:
        """Begin the learning-rate warm-up, before the first step and before the optimizers' states are restored; return it."""
        if self.warmup is None:
            n_steps = round(float(self.config["warmup_epochs"]) * len(train_data))
            self.warmup = LinearWarmup(list(self._optimizers().values()), n_steps)
        return self.warmup

    def _optimizers(self) -> Dict[str, Any]:
        """Return the optimizers by attribute.

        RecVAE has one for the encoder and one for the decoder. Its ``optimizer`` is an alias of the one in use and left out.
        """
        kinds = (torch.optim.Optimizer, DenseAndSparse)
        optimizers = {name: value for name, value in vars(self).items() if isinstance(value, kinds)}
        if len(optimizers) > 1:
            optimizers.pop("optimizer", None)
        return optimizers


def identity_of(config: Any, training: Any, model: nn.Module) -> Dict[str, str]:
    """Return hashes of what weights belong to, by name.

    They cover the users, items and interactions of RecBole's training part, and the item features with the keys that choose
    among them.
    """
    identity, record = data_identity(training), getattr(model, "feature_record", None)
    if record is None:
        return identity
    seed = config["seed"] if record["shuffled"] else None
    return {**identity, "features": repr((record["sha256"], record["views"], list(record["modalities"]), seed))}
