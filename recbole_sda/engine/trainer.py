"""RecBole's trainers with named losses, plain-data checkpoints, exact resume and a history of the run."""

import json
import logging
import random
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import torch

from recbole_sda.data.eval_loaders import among_candidates
from recbole_sda.data.train_loaders import trim
from recbole_sda.engine.optimizers import DenseAndSparse, check_sparse, fuse, sparse_tables
from recbole_sda.errors import InputError
from recbole_sda.io.checkpoint import BEST, LAST, data_identity, from_plain, load_checkpoint, save_checkpoint
from recbole_sda.io.text import read_json_lines
from recbole_sda.machine import torchrun
from recbole_sda.model.registry import BASE_MODELS, base_name
from recbole_sda.recbole_patches import compat

from recbole_sda.engine.collector import Ranking, TopKCollector  # isort: skip
from recbole.utils import init_seed  # isort: skip

logger = logging.getLogger(__name__)

FORMAT = 3  # of checkpoints
HISTORY = "history.jsonl"
OWN_STAGES = {
    "S3Rec": "is pre-trained first by a trainer of its own",
    "RaCT": "is trained in three stages by a trainer of its own",
    "XGBoost": "is not a torch model",
    "LightGBM": "is not a torch model",
}


def read_history(run_dir) -> List[dict]:
    """Return the lines of a run's history so far; models without training have none. A line cut short by a crash is left out."""
    return read_json_lines(Path(run_dir) / HISTORY)


def rng_state() -> dict:
    """Return the state of every random stream that training draws from."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_rng(state: dict) -> None:
    """Put the random streams back to a state from :func:`rng_state` that went through a checkpoint."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.asarray(keys), *rest))
    torch.set_rng_state(state["torch"])
    for number, of_gpu in enumerate(state["cuda"][: torch.cuda.device_count()]):  # there may be fewer than there were
        torch.cuda.set_rng_state(of_gpu, number)


class RunTrainer:
    """Mixin in front of a RecBole trainer; :func:`make_trainer` puts the two together.

    Attributes:
        run_dir: the run folder.
        identity: what the weights belong to, name -> hash; a checkpoint of another one is refused. See :func:`identity_of`.
        best_epoch: epoch of the best validation result so far, from 0; -1 before the first.
        best_ranking: of that epoch's validation; None where it came before a resume.
    """

    run_dir: Path
    identity: Dict[str, str] = {}
    best_epoch = -1
    best_ranking: Optional[Ranking] = None

    # checkpoints -----------------------------------------------------------------------------------------------------
    def _save_checkpoint(self, epoch, verbose=True, **kwargs):
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
        }
        save_checkpoint(self.run_dir / BEST, state)
        if self.eval_step <= 0 or self._valid_data is None:
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
            "numbers": {name: value for name, value in vars(self.model).items() if type(value) in (int, float)},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers().items()},
            "rng": rng_state(),
            "batches": [generator.get_state() for generator in generators(self._train_data)],
        }
        save_checkpoint(self.run_dir / LAST, state)

    def load_weights(self, path) -> dict:
        """Load the model's weights from a checkpoint and return its state."""
        state = load_checkpoint(path)
        if state.get("format") != FORMAT:
            raise InputError(
                f"{path} is a checkpoint of format {state.get('format')}; this version reads {FORMAT}: train anew"
            )
        if state.get("model") != self.config["model"]:
            raise InputError(f"{path} is of {state.get('model')}, not of {self.config['model']}")
        for what, found in state.get("identity", {}).items():
            if self.identity.get(what, found) != found:
                raise InputError(
                    f"{path} was trained on other {what} than {self.config['dataset']} has now with these settings, or in "
                    "another order; bring those back, or train anew"
                )
        try:
            self.model.load_state_dict(state["state_dict"])
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path} does not fit this configuration: {reason[:300]}") from None
        self.model.load_other_parameter(from_plain(state["other_parameter"], self.device))
        return state

    def resume(self, train_data) -> None:
        """Go back to the end of the last epoch of this run folder."""
        state = self.load_weights(self.run_dir / LAST)
        for name, value in state["numbers"].items():  # some models count their steps
            setattr(self.model, name, value)
        for name, optimizer in self._optimizers().items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.start_epoch, self.best_epoch = state["epoch"] + 1, state["best_epoch"]
        self.cur_step, self.best_valid_score = state["cur_step"], state["best_valid_score"]
        self.best_valid_result = state["best_valid_result"]
        for generator, batches in zip(generators(train_data), state["batches"]):
            generator.set_state(batches)
        restore_rng(from_plain(state["rng"]))
        if not torchrun.is_main():
            init_seed(self.config["seed"] + torchrun.rank() + self.start_epoch, self.config["reproducibility"])
        torchrun.run_on_main_process(lambda: self._cut_history(self.start_epoch))
        logger.info("resuming %s after epoch %d", self.run_dir, state["epoch"] + 1)

    # training and evaluation -----------------------------------------------------------------------------------------
    def _build_optimizer(self, **kwargs):
        if "params" in kwargs:  # of a trainer with an optimiser for each part of its model
            return fuse(super()._build_optimizer(**kwargs))
        tables = sparse_tables(self.model)
        if not tables:
            return fuse(super()._build_optimizer(**kwargs, params=self._groups(self.model.parameters())))
        check_sparse(self.config)
        if torchrun.world_size() > 1:
            raise InputError("softmax_negatives with an id embedding runs in one process; id_embedding=none in several")
        dense = [p for p in self.model.parameters() if all(p is not table for table in tables)]
        adam = fuse(super()._build_optimizer(**kwargs, params=self._groups(dense)))
        return DenseAndSparse(adam, torch.optim.SparseAdam(tables, lr=self.learning_rate))

    def _optimizers(self) -> Dict[str, Any]:
        """Return the optimisers by attribute. RecVAE has one for each half, which ``optimizer`` is in turn."""
        kinds = (torch.optim.Optimizer, DenseAndSparse)
        found = {name: value for name, value in vars(self).items() if isinstance(value, kinds)}
        parts = [value for name, value in found.items() if name != "optimizer"]
        return {name: value for name, value in found.items() if name != "optimizer" or not parts}

    def _groups(self, parameters) -> list:
        """Return parameters for an optimizer, the maps of an item encoder with a learning rate of their own."""
        factor = getattr(getattr(self.model, "settings", None), "encoder_lr_factor", 1.0)
        encoder = [] if factor == 1.0 else list(self.model.items.encoder_weights())
        if not encoder:
            return list(parameters)
        others = [p for p in parameters if all(p is not weight for weight in encoder)]
        return [{"params": others}, {"params": encoder, "lr": factor * self.learning_rate}]

    def fit(self, train_data, valid_data=None, verbose=True, saved=True, show_progress=False, callback_fn=None):
        self._train_data, self._valid_data = train_data, valid_data
        finished = self.start_epoch >= self.epochs or self.cur_step > self.stopping_step
        if self.start_epoch > 0 and finished:  # RecBole would save the last epoch as the best one
            self.eval_collector.data_collect(train_data)
            logger.info("training had ended already, after epoch %d", self.start_epoch)
            return self.best_valid_score, self.best_valid_result

        def after_evaluation(epoch, score):
            if torchrun.is_main():
                self._save_last(epoch)
            if callback_fn:
                callback_fn(epoch, score)

        # Not verbose: RecBole's three lines per epoch are one here, see _tell.
        best = super().fit(train_data, valid_data, False, saved, show_progress, after_evaluation)
        if valid_data is not None and self.cur_step > self.stopping_step:
            logger.info("stopped: no gain in %d evaluations", self.cur_step)
        return best

    def _train_epoch(self, train_data, epoch_idx, loss_func=None, show_progress=False):
        self._epoch = epoch_idx
        if hasattr(self.model, "before_epoch"):
            self.model.before_epoch()
        losses = super()._train_epoch(train_data, epoch_idx, loss_func, show_progress)
        self._n_batches = len(train_data)
        return losses

    def _valid_epoch(self, valid_data, show_progress=False):
        score, result = super()._valid_epoch(valid_data, show_progress)
        bigger = score >= self.best_valid_score if self.valid_metric_bigger else score <= self.best_valid_score
        if bigger:
            self.best_ranking = self.eval_collector.ranking
        logger.info("%s | validation %s %.4f%s", self._line, self.valid_metric, score, " (best)" if bigger else "")
        self._record({"epoch": self._epoch, "phase": "valid", **{k: float(v) for k, v in result.items()}})
        return score, result

    def _full_sort_batch_eval(self, batched_data):
        *batched_data, candidates = batched_data if len(batched_data) == 5 else (*batched_data, None)
        row = BASE_MODELS.get(base_name(self.config["model"]))
        if row is not None and row.sequences != "padded":
            trim(batched_data[0], self.config)
        interaction, scores, positive_u, positive_i = super()._full_sort_batch_eval(batched_data)
        if candidates is not None:
            scores = among_candidates(scores, candidates)
        return interaction, scores, positive_u, positive_i

    def evaluate(self, eval_data, load_best_model=True, model_file=None, show_progress=False):
        if load_best_model:
            self.load_weights(model_file or self.run_dir / BEST)
        return super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)

    # what is told about an epoch -------------------------------------------------------------------------------------
    def _named(self, losses) -> Dict[str, float]:
        """Return the mean over the epoch's batches of each term of the loss, weights included."""
        values: List[float] = list(losses) if isinstance(losses, tuple) else [losses]
        names = getattr(self.model, "loss_names", ())
        if len(names) != len(values):
            names = ["recommendation"] if len(values) == 1 else [f"loss_{k + 1}" for k in range(len(values))]
        return {name: float(value) / max(self._n_batches, 1) for name, value in zip(names, values)}

    def _generate_train_loss_output(self, epoch_idx, s_time, e_time, losses):
        named = self._named(losses)
        figures = self.model.diagnostics() if hasattr(self.model, "diagnostics") else {}
        self._record(
            {"epoch": epoch_idx, "phase": "train", "seconds": round(e_time - s_time, 3), "loss": named, **figures}
        )
        for name, value in figures.items():
            self.tensorboard.add_scalar(name, value, epoch_idx)
        terms = ", ".join(f"{name} {value:.4f}" for name, value in named.items())
        entropy = figures.get("cmsa/target_entropy")
        tail = "" if entropy is None else f", target entropy {entropy:.2f}"
        self._line = f"epoch {epoch_idx + 1}: {e_time - s_time:.1f}s | loss: {terms}{tail}"
        validates = self._valid_data is not None and self.eval_step > 0
        if not validates or (epoch_idx + 1) % self.eval_step:
            logger.info(self._line)
            if validates and torchrun.is_main():  # after an evaluation it is saved as well
                self._save_last(epoch_idx)
        return self._line

    def _add_train_loss_to_tensorboard(self, epoch_idx, losses, tag="Loss/Train"):
        for name, value in self._named(losses).items():
            self.tensorboard.add_scalar(f"{tag}/{name}", value, epoch_idx)

    def _record(self, line: dict) -> None:
        if not torchrun.is_main():
            return
        with open(self.run_dir / HISTORY, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _cut_history(self, epoch: int) -> None:
        """Drop what an interrupted epoch left behind."""
        kept = [json.dumps(line) + "\n" for line in read_history(self.run_dir) if line["epoch"] < epoch]
        (self.run_dir / HISTORY).write_text("".join(kept), encoding="utf-8")


def generators(train_data) -> List[torch.Generator]:
    """Return what draws the batches of RecBole's training dataloader; that of knowledge graphs holds two."""
    parts = [getattr(train_data, name, None) for name in ("general_dataloader", "kg_dataloader")]
    return [part.generator for part in parts if part is not None] or [train_data.generator]


def identity_of(config, training, model) -> Dict[str, str]:
    """Return what weights belong to: users, items and interactions of the training part, features and how they are taken."""
    found, record = data_identity(training), getattr(model, "feature_record", None)
    if record is None:
        return found
    seed = config["seed"] if record["shuffled"] else None
    return {**found, "features": repr((record["sha256"], record["views"], list(record["modalities"]), seed))}


def make_trainer(config, model, run_dir, identity: Optional[Dict[str, str]] = None):
    """Return RecBole's trainer for the base of ``model`` with :class:`RunTrainer` in front.

    Raises:
        InputError: the model has a trainer that this command does not drive.
    """
    from recbole.utils import get_trainer

    base = base_name(config["model"])
    if base in OWN_STAGES:
        raise InputError(f"{base} {OWN_STAGES[base]}; run it with RecBole's own command")
    kind = get_trainer(config["MODEL_TYPE"], base)
    kind = type(f"Run{kind.__name__}", (RunTrainer, kind), {"run_dir": Path(run_dir), "identity": identity or {}})
    folder = Path(run_dir) / "tensorboard"
    folder = folder if torchrun.is_main() else folder / f"process{config['local_rank']}"
    with compat.tensorboard_folder(folder), compat.data_parallel_on(config["device"]):
        trainer = kind(config, model)
    trainer.eval_collector = TopKCollector(config)
    return trainer
