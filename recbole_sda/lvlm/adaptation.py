"""Adaptation: training an adapter on the pictures and texts of a catalogue, with evaluation on held-out items.

A folder of adaptation holds

    adapter/        the adapter of the best evaluation (Recall@10 on held-out items), in PEFT's format
    adapt.yaml      what it was made with: settings, backbone, data, versions; and the best evaluation
    history.jsonl   losses and evaluations
    last.pt         what --resume goes on from, as plain data
    tensorboard/    the same as curves
"""

import logging
import shutil
from pathlib import Path
from typing import Dict, List, Optional

import yaml
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from recbole_sda.errors import InputError
from recbole_sda.features.store import library_versions, sha256_of
from recbole_sda.io.checkpoint import load_checkpoint, save_checkpoint
from recbole_sda.io.yaml import read_yaml
from recbole_sda.lvlm import adapters
from recbole_sda.lvlm.adapters import ADAPTER, RECORD
from recbole_sda.lvlm.backbone import load_backbone
from recbole_sda.lvlm.devices import join_processes
from recbole_sda.lvlm.evaluate import evaluate
from recbole_sda.lvlm.inputs import Batches, prepared
from recbole_sda.lvlm.items import read_catalogue
from recbole_sda.lvlm.objective import among, bought_together
from recbole_sda.lvlm.settings import LVLMSettings, read_settings
from recbole_sda.lvlm.train_log import HISTORY, TENSORBOARD, History
from recbole_sda.lvlm.training import AdapterTrainer
from recbole_sda.lvlm.training_items import StepBatches, make_pairs
from recbole_sda.machine import torchrun

logger = logging.getLogger(__name__)

LAST = "last.pt"


def quality(found: Dict[str, float]) -> List[float]:
    """Return what evaluations are compared by: Recall@10; where it is equal, Recall@1; then alignment.

    Among few held-out items Recall@10 is the same for all adapters.
    """
    return [found["recall@10"], found["recall@1"], -found["alignment"]]


class Adaptation:
    """Adapts a backbone and writes a folder.

    Args:
        settings: of the stage.
        out: the folder.
    """

    def __init__(self, settings: LVLMSettings, out):
        self.settings, self.out = settings, Path(out)
        self.backbone = load_backbone(settings)
        if "image" not in self.backbone.modalities:
            raise InputError(f"backbone={settings.backbone} reads text alone: adapt needs pictures and texts")
        if settings.batch_size % torchrun.world_size():
            raise InputError(
                f"batch_size={settings.batch_size} must be a multiple of the {torchrun.world_size()} processes"
            )
        catalogue = read_catalogue(settings)
        self.pairs = make_pairs(catalogue, self.backbone.processor, settings)
        together = None
        if settings.bought_together_weight > 0:
            together = bought_together(settings.interactions, self.pairs.ids)
        self.plan = StepBatches(self.pairs.train, settings.batch_size, settings.steps, settings.seed, together)
        self.training = AdapterTrainer(self.backbone, settings)
        self.history = History(self.out)
        self.record = {
            "settings": settings.plain(),
            "backbone": self.backbone.describe(),
            "items_sha256": sha256_of(Path(settings.items)),
            "items": {**catalogue.counts(), "train": len(self.pairs.train), "held_out": len(self.pairs.held_out)},
            "versions": library_versions("torch", "transformers", "peft"),
            "processes": torchrun.world_size(),
        }
        self.done, self.best, self.best_step, self.without_gain = 0, [-1.0], 0, 0
        trained = sum(p.numel() for p in self.training.weights)
        logger.info(
            "%s: %s on %d layers, %s trained weights; %d items to learn from, %d held out; %d unreadable pictures",
            self.backbone.describe()["model"],
            settings.method,
            len(self.training.targets),
            f"{trained:,}",
            len(self.pairs.train),
            len(self.pairs.held_out),
            len(catalogue.failures),
        )

    def run(self) -> Dict[str, float]:
        """Train to the last step or until patience ends; return the best evaluation."""
        try:
            self._train()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"go on with --resume={self.out}") from None
        if self.best_step == 0:
            logger.warning("no evaluation was better than the backbone's own: the saved adapter changes nothing")
        return self.record["best"]

    def _train(self) -> None:
        s = self.settings
        if self.done == 0:
            self._evaluate()
        part = s.batch_size // torchrun.world_size()
        own = slice(part * torchrun.rank(), part * (torchrun.rank() + 1))
        plan = _Part(self.plan, own)
        batches = Batches([self.pairs.image, self.pairs.text], self.backbone.processor, plan)
        steps = range(self.done, s.steps)
        bar = tqdm(total=s.steps, initial=self.done, desc="adapt", unit="step", disable=not torchrun.is_main())
        with bar, logging_redirect_tqdm():
            for number, batch in zip(steps, prepared(batches, s.workers, self.done)):
                if self._stopped():
                    logger.info("stopped: no gain in %d evaluations", self.without_gain)
                    break
                together = self.plan.together
                weights = None if together is None else among(together, self.plan[number])
                terms = self.training.step(number, batch, weights)
                self.done = number + 1
                bar.update()
                bar.set_postfix({k: f"{v:.4f}" for k, v in terms.items() if k != "gradient_norm"})
                self.history.add(
                    self.done, "train", {**terms, "learning_rate": self.training.schedule.get_last_lr()[0]}
                )
                if self.done % s.eval_every == 0 or self.done == s.steps:
                    self._evaluate()

    def _stopped(self) -> bool:
        return self.settings.patience is not None and self.without_gain >= self.settings.patience

    def _evaluate(self) -> None:
        found = evaluate(self.backbone, self.training, self.pairs, self.settings)
        if self.done == 0:
            self.record["before"] = found
        gain = quality(found) > self.best
        self.without_gain = 0 if gain else self.without_gain + 1
        if gain:
            self.best, self.best_step = quality(found), self.done
            self.record["best"] = {"step": self.done, **found}
        logger.info(
            "step %d: held-out recall@1 %.4f, recall@10 %.4f, alignment %.3f%s%s",
            self.done,
            found["recall@1"],
            found["recall@10"],
            found["alignment"],
            f", target entropy {found['target_entropy']:.2f}" if "target_entropy" in found else "",
            " (best)" if gain else "",
        )
        if not torchrun.is_main():
            return
        self.history.add(self.done, "evaluation", found)
        if gain:
            adapters.save(self.training.adapted, self.out / ADAPTER)
        gates = adapters.gates(self.training.adapted)
        if gates:
            self.record["gates"] = {name: [[round(g, 4) for g in row] for row in rows] for name, rows in gates.items()}
            self.history.add_gates(self.done, gates)
        text = yaml.safe_dump(self.record, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
        (self.out / RECORD).write_text(text, encoding="utf-8")
        state = {"step": self.done, "best": self.best, "best_step": self.best_step, "without_gain": self.without_gain}
        save_checkpoint(self.out / LAST, {**state, "training": self.training.state(), "record": self.record})

    def resume(self) -> None:
        """Go back to the last evaluation of the folder."""
        state = load_checkpoint(self.out / LAST)
        for name in ("items_sha256", "backbone"):
            if state["record"][name] != self.record[name]:
                what = "items file" if name == "items_sha256" else "backbone"
                raise InputError(f"{self.out}: the {what} is not the one that this adaptation began with")
        self.training.load_state(state["training"])
        self.record, self.done, self.best = state["record"], state["step"], state["best"]
        self.best_step, self.without_gain = state["best_step"], state["without_gain"]
        self.history.cut(self.done)
        logger.info("resuming %s after step %d", self.out, self.done)


class _Part:
    """A process's share of each batch of a plan."""

    def __init__(self, plan: StepBatches, share: slice):
        self.plan, self.share = plan, share

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, step: int):
        return self.plan[step][self.share]


def adapt(settings: LVLMSettings, out, overwrite: bool = False) -> Dict[str, float]:
    """Adapt a backbone to a catalogue.

    Args:
        settings: of the stage; ``method`` moda, lora or two_lora.
        out: folder to write.
        overwrite: whether a folder of an earlier adaptation is replaced.

    Returns:
        The best evaluation on held-out items and its step.

    Raises:
        InputError: see :class:`Adaptation`; or ``out`` exists.
    """
    if settings.method == "none":
        raise InputError("method=none adapts nothing: allowed are moda, lora, two_lora")
    join_processes(settings)
    torchrun.run_on_main_process(lambda: _new_folder(Path(out), overwrite))
    return Adaptation(settings, out).run()


def resume(out, overrides: Optional[dict] = None) -> Dict[str, float]:
    """Go on with an adaptation that was interrupted; ``overrides`` are keys that do not change what is trained."""
    base = read_yaml(Path(out) / RECORD)["settings"]
    settings = read_settings((), overrides, base)
    changed = {k for k, v in settings.plain().items() if v != base[k]} - FREE
    if changed:
        raise InputError(f"--resume={out}: {', '.join(sorted(changed))} cannot change; {', '.join(sorted(FREE))} can")
    join_processes(settings)
    adaptation = Adaptation(settings, out)
    adaptation.resume()
    return adaptation.run()


FREE = {"device", "threads", "workers", "patience", "token_budget", "backbone", "items", "gradient_checkpointing"}


def _new_folder(out: Path, overwrite: bool) -> None:
    """Make room for an adaptation; one that was killed before its first checkpoint left curves alone, which nobody misses."""
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if there - {HISTORY, TENSORBOARD}:
        if not overwrite:
            raise InputError(
                f"{out} exists already: go on with --resume={out}, choose another folder, or --overwrite=True"
            )
        if RECORD not in there:
            raise InputError(f"{out} is not a folder of adaptation ({RECORD} is missing), so it is not overwritten")
    for name in (RECORD, LAST, HISTORY):
        (out / name).unlink(missing_ok=True)
    for name in (ADAPTER, TENSORBOARD):
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
