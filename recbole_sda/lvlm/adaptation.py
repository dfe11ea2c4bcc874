"""Adaptation: training of an adapter on the images and texts of items, with evaluation on held-out items.

The folder of an adaptation contains

    adapter/        the adapter of the best evaluation (Recall@10 on held-out items), in PEFT's format
    adapt.yaml      settings, backbone, data, versions and the best evaluation
    history.jsonl   losses and evaluations
    last.pt         the state from which --resume continues, as plain data
    tensorboard/    losses and evaluations as curves
"""

import logging
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import numpy as np
import yaml
from tqdm.contrib.logging import logging_redirect_tqdm

from recbole_sda.errors import InputError
from recbole_sda.features.manifest import library_versions
from recbole_sda.io.atomic_folder import atomic_folder, restore_folder
from recbole_sda.io.atomic_write import write_text
from recbole_sda.io.checkpoint import load_checkpoint, save_checkpoint
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.progress import Progress
from recbole_sda.io.schema import COUNT, NUMBER
from recbole_sda.lvlm import adapters
from recbole_sda.lvlm.adaptation_folder import LAST, adaptation_lock, new_folder, settings_of
from recbole_sda.lvlm.adapter_trainer import AdapterTrainer
from recbole_sda.lvlm.adapters import ADAPTER, RECORD
from recbole_sda.lvlm.backbone import load_backbone, resolved
from recbole_sda.lvlm.co_purchases import co_purchases_among, count_co_purchases
from recbole_sda.lvlm.devices import join_processes
from recbole_sda.lvlm.evaluate import evaluate
from recbole_sda.lvlm.inputs import Batches, batch_loader
from recbole_sda.lvlm.items import read_item_content
from recbole_sda.lvlm.record import SHAPE
from recbole_sda.lvlm.settings import LVLMSettings, read_settings
from recbole_sda.lvlm.train_log import TrainLog
from recbole_sda.lvlm.training_items import StepBatches, select_training_items
from recbole_sda.machine import torchrun
from recbole_sda.tracking.settings import KEYS as TRACKING_KEYS
from recbole_sda.tracking.trackers import TrackedRun, Trackers, start_trackers

logger = logging.getLogger(__name__)

# Settings that may change when an adaptation is resumed: they do not affect what is trained.
FREE = {
    "device", "threads", "workers", "patience", "token_budget", "backbone", "items", "gradient_checkpointing", *TRACKING_KEYS,
}  # fmt: skip


def quality(metrics: Dict[str, float]) -> List[float]:
    """Return the values that rank evaluations: Recall@10, then Recall@1, then the alignment.

    With few held-out items, Recall@10 is the same for all adapters.
    """
    return [metrics["recall@10"], metrics["recall@1"], -metrics["alignment"]]


STATE = {  # of its last checkpoint
    "step": COUNT, "best": [NUMBER], "best_step": COUNT, "without_gain": COUNT, "training": dict,
    "record": {**SHAPE, "backbone": dict, "items_sha256": str},
}  # fmt: skip


class Adaptation:
    """Adapts a backbone and writes the folder of the adaptation.

    Args:
        settings: settings of the stage.
        out: folder of the adaptation.

    Raises:
        InputError: the backbone reads text only or cannot be loaded, there are too few items with both modalities, or
            ``batch_size`` cannot be divided among the processes.
    """

    def __init__(self, settings: LVLMSettings, out: Union[str, Path]):
        settings = resolved(settings)
        self.settings, self.out = settings, Path(out)
        self.backbone = load_backbone(settings)
        if "image" not in self.backbone.modalities:
            raise InputError(f"backbone={settings.backbone} reads text only: adapt needs images and texts")
        if settings.batch_size % torchrun.world_size():
            raise InputError(
                f"batch_size={settings.batch_size} must be a multiple of the {torchrun.world_size()} processes"
            )
        content = read_item_content(settings)
        self.items = select_training_items(content, self.backbone.processor, settings)
        self.co_purchases = None
        if settings.bought_together_weight > 0:
            self.co_purchases = count_co_purchases(str(settings.interactions), self.items.ids)
        self.plan = StepBatches(self.items.train, settings.batch_size, settings.steps, settings.seed, self.co_purchases)
        self.trainer = AdapterTrainer(self.backbone, settings)
        self.log = TrainLog(self.out)
        n_train, n_held_out = len(self.items.train), len(self.items.held_out)
        self.record: Dict[str, Any] = {
            "settings": settings.plain(),
            "backbone": self.backbone.describe(),
            "items_sha256": sha256_of(Path(str(settings.items))),
            "items": {**content.counts(), "train": n_train, "held_out": n_held_out},
            "versions": library_versions("torch", "transformers", "peft"),
            "processes": torchrun.world_size(),
        }
        self.done, self.best, self.best_step, self.without_gain = 0, [-1.0], 0, 0
        logger.info(
            "%s: %s on %d layers, %s trainable weights; %d training items, %d held-out items; %d unreadable images",
            self.backbone.describe()["model"],
            settings.method,
            len(self.trainer.targets),
            f"{sum(p.numel() for p in self.trainer.weights):,}",
            n_train,
            n_held_out,
            len(content.unreadable),
        )

    def run(self) -> Dict[str, float]:
        """Train until the last step or until patience ends; return the step and the metrics of the best evaluation."""
        try:
            with self._tracked() as self.log.trackers:
                self._train()
                best = {key: value for key, value in self.record["best"].items() if key != "step"}
                self.log.trackers.describe({"best": best}, {"best_step": str(self.best_step)})
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"continue with --resume={self.out}") from None
        if self.best_step == 0:
            logger.warning("no evaluation was better than the bare backbone's: the saved adapter is the zero map")
        return self.record["best"]

    def _tracked(self) -> Trackers:
        options = self.settings.track_options
        config = {**self.settings.plain(), "items": self.record["items"], "backbone": self.record["backbone"]}
        run = TrackedRun(
            name=options.get("run_name") or self.out.resolve().name,
            folder=self.out,
            kind="adaptation",
            config={key: value for key, value in config.items() if key not in TRACKING_KEYS},
        )
        return start_trackers(self.settings.track, options, run)

    def _train(self) -> None:
        s = self.settings
        if "before" not in self.record:  # a state that is resumed has been evaluated
            self._evaluate()
        part = s.batch_size // torchrun.world_size()
        plan = _ProcessPart(self.plan, slice(part * torchrun.rank(), part * (torchrun.rank() + 1)))
        batches = Batches([self.items.image, self.items.text], self.backbone.processor, plan)
        steps = range(self.done, s.steps)
        with Progress(s.steps, "adapt", "steps", self.done, torchrun.is_main()) as bar, logging_redirect_tqdm():
            for number, batch in zip(steps, batch_loader(batches, s.workers, self.done)):
                if self._out_of_patience():
                    logger.info("stopped: no gain in %d evaluations", self.without_gain)
                    break
                counts = None
                if self.co_purchases is not None:
                    counts = co_purchases_among(self.co_purchases, self.plan[number])
                terms = self.trainer.step(number, batch, counts)
                self.done = number + 1
                bar.update(1, {k: f"{v:.4f}" for k, v in terms.items() if k != "gradient_norm"})
                learning_rate = self.trainer.schedule.get_last_lr()[0]
                self.log.add(self.done, "train", {**terms, "learning_rate": learning_rate})
                if self.done % s.eval_every == 0 or self.done == s.steps:
                    self._evaluate()

    def _out_of_patience(self) -> bool:
        return self.settings.patience is not None and self.without_gain >= self.settings.patience

    def _evaluate(self) -> None:
        metrics = evaluate(self.trainer, self.items, self.settings)
        if self.done == 0:
            self.record["before"] = metrics
        gain = quality(metrics) > self.best
        self.without_gain = 0 if gain else self.without_gain + 1
        if gain:
            self.best, self.best_step = quality(metrics), self.done
            self.record["best"] = {"step": self.done, **metrics}
        logger.info(
            "step %d: held-out recall@1 %.4f, recall@10 %.4f, alignment %.3f%s%s",
            self.done,
            metrics["recall@1"],
            metrics["recall@10"],
            metrics["alignment"],
            f", target entropy {metrics['target_entropy']:.2f}" if "target_entropy" in metrics else "",
            " (best)" if gain else "",
        )
        if torchrun.is_main():
            self.log.add(self.done, "evaluation", metrics)
            self._save(gain)

    def _save(self, gain: bool) -> None:
        """Write the state of training and the record; with ``gain``, first the adapter.

        After a kill between two of them, the training goes on from the earlier state, or the record is written again.
        """
        if gain:
            with atomic_folder(self.out / ADAPTER) as draft:
                adapters.save(self.trainer.adapted, draft)
            self.record["adapter"] = adapters.fingerprint(self.out / ADAPTER)
        gates = adapters.gates(self.trainer.adapted)
        if gates:
            self.record["gates"] = {name: [[round(g, 4) for g in row] for row in rows] for name, rows in gates.items()}
            self.log.add_gates(self.done, gates)
        state = {"step": self.done, "best": self.best, "best_step": self.best_step, "without_gain": self.without_gain}
        save_checkpoint(self.out / LAST, {**state, "training": self.trainer.state(), "record": self.record})
        self._write_record()

    def _write_record(self) -> None:
        text = yaml.safe_dump(self.record, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
        write_text(self.out / RECORD, text)

    def restore(self) -> None:
        """Restore the state of the folder's last evaluation.

        Raises:
            InputError: the items file or the backbone has changed since, or there is no state.
        """
        state = load_checkpoint(self.out / LAST, STATE)
        for key, name in (("items_sha256", "items file"), ("backbone", "backbone")):
            if state["record"][key] != self.record[key]:
                raise InputError(f"--resume={self.out}: the {name} is not the one that the adaptation started with")
        self.trainer.load_state(state["training"], str(self.out / LAST))
        self.record, self.done, self.best = state["record"], state["step"], state["best"]
        self.best_step, self.without_gain = state["best_step"], state["without_gain"]
        self.log.truncate_after(self.done)
        if torchrun.is_main():
            restore_folder(self.out / ADAPTER)
            self._write_record()
        logger.info("resuming %s after step %d", self.out, self.done)


class _ProcessPart:
    """A process's part of each batch of a plan."""

    def __init__(self, plan: StepBatches, part: slice):
        self.plan, self.part = plan, part

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, step: int) -> np.ndarray:
        return self.plan[step][self.part]


def run_adaptation(settings: LVLMSettings, out: Union[str, Path], overwrite: bool = False) -> Dict[str, float]:
    """Adapt a backbone to the items of a catalogue.

    Args:
        settings: settings of the stage; ``method`` is moda, lora or two_lora.
        out: folder to write.
        overwrite: whether the folder of an earlier adaptation is replaced.

    Returns:
        Step and metrics of the best evaluation on held-out items.

    Raises:
        InputError: ``method`` is none, ``out`` exists, or see :class:`Adaptation`.
    """
    if settings.method == "none":
        raise InputError("method=none adapts nothing: allowed are moda, lora, two_lora")
    join_processes(settings)
    with adaptation_lock(Path(out)):
        torchrun.run_on_main_process(lambda: new_folder(Path(out), overwrite))
        return Adaptation(settings, out).run()


def resume_adaptation(out: Union[str, Path], overrides: Optional[Dict[str, Any]] = None) -> Dict[str, float]:
    """Continue an interrupted adaptation.

    Args:
        out: folder of the adaptation.
        overrides: keys that do not affect what is trained, such as ``workers``; see :data:`FREE`.

    Returns:
        Step and metrics of the best evaluation on held-out items.

    Raises:
        InputError: the folder holds no adaptation, or ``overrides`` changes a setting that affects what is trained.
    """
    base = settings_of(Path(out))
    settings = read_settings((), overrides, base)
    changed = {k for k, v in settings.plain().items() if v != base.get(k)} - FREE
    if changed:
        raise InputError(f"--resume={out}: {', '.join(sorted(changed))} cannot change; {', '.join(sorted(FREE))} can")
    join_processes(settings)
    with adaptation_lock(Path(out)):
        adaptation = Adaptation(settings, out)
        adaptation.restore()
        return adaptation.run()
