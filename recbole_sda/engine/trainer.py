"""RecBole's trainers with named losses, fused optimizers, checkpoints of plain data and a log of the training."""

import logging
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional, Tuple, Union

import numpy as np
import torch
from torch import Tensor, nn

from recbole_sda.data.eval_loaders import among_candidates
from recbole_sda.data.train_loaders import trim
from recbole_sda.engine.changed_attributes import ChangedAttributes
from recbole_sda.engine.ensemble_members import choose_weights
from recbole_sda.engine.optimizers import DenseAndSparse, check_sparse, fuse, parameter_groups, sparse_tables
from recbole_sda.engine.rare_item_decay import RareItemDecay, item_id_table
from recbole_sda.engine.train_log import Losses, append_history, epoch_line, mean_losses
from recbole_sda.engine.trainer_checkpoints import CheckpointMixin
from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import BEST
from recbole_sda.machine import torchrun
from recbole_sda.model.ensemble.model import Ensemble
from recbole_sda.model.registry import base_name, base_spec, class_name
from recbole_sda.model.untrained import UntrainedRecommender
from recbole_sda.recbole_patches.scoped import data_parallel_on, tensorboard_folder
from recbole_sda.tracking.trackers import Trackers

from recbole_sda.engine.collector import Ranking, TopKCollector  # isort: skip
from recbole_sda.engine.training_checks import diverged

logger = logging.getLogger(__name__)

OWN_STAGES = {
    "S3Rec": "is pre-trained first by a trainer of its own",
    "RaCT": "is trained in three stages by a trainer of its own",
    "XGBoost": "is not a torch model",
    "LightGBM": "is not a torch model",
}


class RunTrainer(CheckpointMixin):
    """Mixin in front of a RecBole trainer; :func:`make_trainer` combines the two.

    Attributes:
        best_ranking: ranking of the best epoch's validation; None if that epoch was trained before the run was resumed.
        trackers: get each line of the history too.
    """

    best_ranking: Optional[Ranking] = None
    trackers = Trackers({})

    def _build_optimizer(self, **kwargs: Any) -> Any:
        if "params" in kwargs:  # a trainer with an optimizer for each part of its model
            return fuse(super()._build_optimizer(**kwargs))
        tables = sparse_tables(self.model)
        if not tables:
            return fuse(super()._build_optimizer(**kwargs, params=parameter_groups(self.model, self.learning_rate)))
        check_sparse(self.config)
        if torchrun.world_size() > 1:
            raise InputError("sparse_updates runs in one process; sparse_updates=False in several")
        dense = parameter_groups(self.model, self.learning_rate, without=tables)
        adam = fuse(super()._build_optimizer(**kwargs, params=dense))
        return DenseAndSparse(adam, torch.optim.SparseAdam(tables, lr=self.learning_rate))

    def decay_rare_items(self, counts: np.ndarray) -> None:
        """Begin the decay of the key ``rare_item_decay``, with the training interactions of each item, (n_items,), unless it is 0.

        Raises:
            InputError: the model has no item id table.
        """
        strength = float(self.config["rare_item_decay"])
        if strength > 0:
            table = item_id_table(self.model, self.config["model"])
            RareItemDecay(self._optimizers().values(), table.weight, torch.from_numpy(counts), strength)

    # training and evaluation -----------------------------------------------------------------------------------------
    def fit(
        self,
        train_data: Any,
        valid_data: Any = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Optional[Callable[[int, float], Any]] = None,
    ) -> Tuple[float, Optional[Dict[str, float]]]:
        """Train; see RecBole's ``Trainer.fit``. ``verbose`` has no effect: an epoch is logged in one line."""
        self._train_data, self._valid_data = train_data, valid_data
        self._start_warmup(train_data)
        finished = self.start_epoch >= self.epochs or self.cur_step > self.stopping_step
        if self.start_epoch > 0 and finished:  # RecBole would save the last epoch as the best one
            self.eval_collector.data_collect(train_data)
            logger.info("training had ended already, after epoch %d", self.start_epoch)
            return self.best_valid_score, self.best_valid_result

        if isinstance(self.model, Ensemble) and self.start_epoch == 0:
            choose_weights(self.model, self.config, valid_data)

        def after_evaluation(epoch: int, score: float) -> None:
            if torchrun.is_main():
                self._save_last(epoch)
            if callback_fn:
                callback_fn(epoch, score)

        best = super().fit(train_data, valid_data, False, saved, show_progress, after_evaluation)
        if valid_data is not None and self.cur_step > self.stopping_step:
            logger.info("stopped: no gain in %d evaluations", self.cur_step)
        return best

    def _train_epoch(
        self,
        train_data: Any,
        epoch_idx: int,
        loss_func: Optional[Callable[[Any], Any]] = None,
        show_progress: bool = False,
    ) -> Losses:
        self._epoch = epoch_idx
        if isinstance(self.model, UntrainedRecommender):  # a pass over the data would change nothing
            self._n_batches = 0
            return 0.0
        if hasattr(self.model, "before_epoch"):
            self.model.before_epoch(epoch_idx)
        try:
            losses = super()._train_epoch(train_data, epoch_idx, loss_func, show_progress)
        except ValueError as error:
            if str(error) != "Training loss is nan":  # RecBole's
                raise
            raise InputError(diverged(epoch_idx, self.config, self.run_dir)) from None
        self._n_batches = len(train_data)
        return losses

    def _check_nan(self, loss: Tensor) -> None:
        """Refuse to go on with a loss that is not a number; the folder keeps the epochs before."""
        if not torch.isfinite(loss).all():
            raise InputError(
                f"{self.run_dir}: epoch {self._epoch + 1}: the loss is {float(loss.detach()):g}; a lower learning_rate (now "
                f"{self.config['learning_rate']:g}) or a longer warmup_epochs may help"
            )

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> Tuple[float, Dict[str, float]]:
        score, result = super()._valid_epoch(valid_data, show_progress)
        if score != score:
            raise InputError(
                f"{self.run_dir}: epoch {self._epoch + 1}: valid_metric={self.valid_metric} is not defined on the validation "
                "data, as AUC where all labels are the same; choose another valid_metric"
            )
        # As in RecBole's early_stopping, the later one of two epochs with the same score is the best.
        is_best = score >= self.best_valid_score if self.valid_metric_bigger else score <= self.best_valid_score
        if is_best:
            self.best_ranking = self.eval_collector.ranking
        logger.info("%s | validation %s %.4f%s", self._line, self.valid_metric, score, " (best)" if is_best else "")
        self._record({"epoch": self._epoch, "phase": "valid", **{k: float(v) for k, v in result.items()}})
        return score, result

    def _full_sort_batch_eval(self, batched_data: Tuple[Any, ...]) -> Tuple[Any, Tensor, Tensor, Tensor]:
        *batch, candidates = batched_data if len(batched_data) == 5 else (*batched_data, None)
        spec = base_spec(self.config["model"])
        if spec is not None and spec.sequences != "padded":
            trim(batch[0], self.config)
        interaction, scores, positive_u, positive_i = super()._full_sort_batch_eval(batch)
        if candidates is not None:
            scores = among_candidates(scores, candidates)
        return interaction, scores, positive_u, positive_i

    @torch.no_grad()
    def scored(self, eval_data: Any) -> Iterator[Tuple[Tensor, Tensor, Tensor]]:
        """Yield the scores of each batch of an evaluation by full sort, and the rows and items of the right ones.

        Scores are (n_lists, n_items), ``-inf`` for items that are no candidates.
        """
        self.model.eval()
        self.tot_item_num = eval_data._dataset.item_num
        for batch in eval_data:
            _, scores, row, item = self._full_sort_batch_eval(batch)
            yield scores, row, item

    def evaluate(
        self,
        eval_data: Any,
        load_best_model: bool = True,
        model_file: Optional[Union[str, Path]] = None,
        show_progress: bool = False,
    ) -> Dict[str, float]:
        """Return the metrics of the best epoch, of ``model_file``, or, with ``load_best_model`` False, of the present weights."""
        if load_best_model:
            self.load_weights(model_file or self.run_dir / BEST)
        return super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)

    # log of the training ---------------------------------------------------------------------------------------------
    def _mean_losses(self, losses: Losses) -> Dict[str, float]:
        return mean_losses(losses, getattr(self.model, "loss_names", ()), self._n_batches)

    def _generate_train_loss_output(self, epoch_idx: int, s_time: float, e_time: float, losses: Losses) -> str:
        means, seconds = self._mean_losses(losses), e_time - s_time
        diagnostics = self.model.diagnostics() if hasattr(self.model, "diagnostics") else {}
        self._record({"epoch": epoch_idx, "phase": "train", "seconds": round(seconds, 3), "loss": means, **diagnostics})
        for name, value in diagnostics.items():
            self.tensorboard.add_scalar(name, value, epoch_idx)
        self._line = epoch_line(epoch_idx, seconds, means, diagnostics)
        if not self._validates or (epoch_idx + 1) % self.eval_step:
            logger.info(self._line)
            if self._validates and torchrun.is_main():  # other epochs are saved after their evaluation
                self._save_last(epoch_idx)
        return self._line

    def _add_train_loss_to_tensorboard(self, epoch_idx: int, losses: Losses, tag: str = "Loss/Train") -> None:
        for name, value in self._mean_losses(losses).items():
            self.tensorboard.add_scalar(f"{tag}/{name}", value, epoch_idx)

    def _record(self, line: Dict[str, Any]) -> None:
        if torchrun.is_main():
            append_history(self.run_dir, line)
            self.trackers.log(line["epoch"] + 1, line["phase"], {k: v for k, v in line.items() if k != "epoch"})


def make_trainer(
    config: Any, model: nn.Module, run_dir: Union[str, Path], identity: Optional[Dict[str, str]] = None
) -> RunTrainer:
    """Return RecBole's trainer for the base of ``model`` with :class:`RunTrainer` in front.

    Raises:
        InputError: the model needs a trainer that this package does not support.
    """
    from recbole.utils import get_trainer

    base = class_name(base_name(config["model"]))
    if base in OWN_STAGES:
        raise InputError(f"{base} {OWN_STAGES[base]}; run it with RecBole's own command")
    kind = get_trainer(config["MODEL_TYPE"], base)
    kind = type(f"Run{kind.__name__}", (RunTrainer, kind), {"run_dir": Path(run_dir), "identity": identity or {}})
    folder = Path(run_dir) / "tensorboard"
    folder = folder if torchrun.is_main() else folder / f"process{config['local_rank']}"
    with tensorboard_folder(folder), data_parallel_on(config["device"]):
        trainer = kind(config, model)
    trainer.eval_collector = TopKCollector(config)
    trainer.changed = ChangedAttributes(model, trainer)
    return trainer
