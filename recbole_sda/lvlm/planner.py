"""The plan of the LVLM stage before any of it runs: parameters, memory, tokens, operations and hours.

The stage's own code runs on torch's ``meta`` device, in :class:`~recbole_sda.lvlm.meta_trace.MetaTrace`: no weights are needed.
"""

from dataclasses import replace
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from recbole_sda.errors import InputError, one_line
from recbole_sda.lvlm.adapter_trainer import AdapterTrainer
from recbole_sda.lvlm.batching import token_batches
from recbole_sda.lvlm.embedders import with_embedder
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.meta_trace import MetaTrace, fused_attention
from recbole_sda.lvlm.planner_backbone import planning_backbone
from recbole_sda.lvlm.planner_inputs import Catalogue, Measured, Training, catalogue_of_file, equal_items, mean_length
from recbole_sda.lvlm.settings import LVLMSettings

METHODS = ("lora", "two_lora", "moda")
PROBES = (4, 8)  # rows of the two batches from which the memory of a larger batch follows
QUANTIZED = {
    "8bit": 1.0,
    "4bit": 0.516,
}  # bytes per weight of a linear layer; nf4 with constants that are quantised too
DEFAULT_TEXT_TOKENS = 128

Batch = List[Dict[str, Tensor]]  # the model's inputs: images, texts


class Step(NamedTuple):
    """What a training step needs, in bytes beside the weights and the state of the optimizer.

    Attributes:
        saved: activations that are kept for the backward pass.
        peak: largest sum of activations, gradients and temporary tensors.
        flops: floating-point operations.
    """

    saved: int
    peak: int
    flops: int


class Planner:
    """Plans adaptation and extraction for a backbone and a catalogue.

    Args:
        settings: settings of the stage.
        n_items: number of equal items to plan for, without an items file.
        text_tokens: tokens of their texts.

    Raises:
        InputError: the configuration, the items file or a number cannot be used, or the code of the family does not run without
            weights.
    """

    def __init__(self, settings: LVLMSettings, n_items: Optional[int] = None, text_tokens: int = DEFAULT_TEXT_TOKENS):
        settings = replace(settings, device=None)
        self.backbone, self.own_tokenizer = planning_backbone(settings)
        self.settings = with_embedder(settings, self.backbone.processor.embedder, self.backbone.family.pooling)
        if settings.items:
            self.catalogue: Catalogue = catalogue_of_file(self.settings, self.backbone)
        else:
            self.catalogue = equal_items(self.settings, self.backbone, int(n_items or 0), text_tokens)

    def plan(self) -> Dict[str, Any]:
        """Return the plan as plain data; all sizes are in bytes.

        Raises:
            InputError: the code of the family cannot run without weights.
        """
        try:
            return self._plan()
        except (NotImplementedError, RuntimeError) as error:  # of the code of the family
            raise InputError(
                f"backbone={self.settings.backbone}: a {self.backbone.processor.model_type} model cannot be planned, its code "
                f"needs values where there are only shapes ({one_line(error)})"
            ) from None

    def _plan(self) -> Dict[str, Any]:
        training = self.catalogue.training
        plan: Dict[str, Any] = {"backbone": self.backbone_record(), "items": self.catalogue.counts}
        with fused_attention():
            plan["extract"] = self._extraction()
            if training is not None:
                plan["adapters"] = {method: self.adapter(method) for method in METHODS}
                plan["adapt"] = self._adaptation(training)
        return plan

    def backbone_record(self) -> Dict[str, Any]:
        """Return type, parameters and bytes of the backbone."""
        model = self.backbone.model
        return {
            "model": str(self.settings.backbone),
            "model_type": self.backbone.processor.model_type,
            "dim": self.backbone.dim,
            "dtype": self.settings.dtype,
            "quantization": self.settings.quantization,
            "parameters": sum(p.numel() for p in model.parameters()),
            "weights": weight_bytes(model, self.settings.quantization),
            "own_tokenizer": self.own_tokenizer,
        }

    def trainer(self, method: str, checkpointing: bool) -> AdapterTrainer:
        """Return a trainer of an adapter on a new backbone without weights."""
        settings = replace(self.settings, method=method, gradient_checkpointing=checkpointing)
        backbone, _ = planning_backbone(settings)
        with torch.device("meta"):
            return AdapterTrainer(backbone, settings)

    def adapter(self, method: str) -> Dict[str, int]:
        """Return the number of an adapter's parameters, and the bytes of them, their gradients and the optimizer's state."""
        weights = self.trainer(method, False).weights
        size = sum(p.numel() * p.element_size() for p in weights)
        # AdamW keeps two values per weight
        return {
            "parameters": sum(p.numel() for p in weights),
            "weights": size,
            "gradients": size,
            "optimizer": 2 * size,
        }

    def _adaptation(self, training: Training) -> Dict[str, Any]:
        s, padded = self.settings, training.padded()
        order = np.argsort(padded, kind="stable")
        largest, median = (training.batches[order[k]] for k in (-1, len(order) // 2))
        inputs = self.sides(training, largest)
        steps = {on: self.trace_step(self.trainer(s.method, on), inputs) for on in (False, True)}
        adapter = self.adapter(s.method)
        fixed = weight_bytes(self.backbone.model, s.quantization) + adapter["weights"] + adapter["optimizer"]
        typical = steps[s.gradient_checkpointing]
        if padded[order[len(order) // 2]] < padded.max():
            typical = self.trace_step(self.trainer(s.method, s.gradient_checkpointing), self.sides(training, median))
        evaluations = 1 + -(-s.steps // s.eval_every)
        per_evaluation = sum(
            self._forward_flops(name, side, training.held_out, False) for name, side in self._named(training)
        )
        return {
            "method": s.method,
            "batch_size": s.batch_size,
            "steps": s.steps,
            "gradient_checkpointing": s.gradient_checkpointing,
            "tokens_per_pair": self._tokens_per_pair(training, padded),
            "largest_batch_tokens": int(padded.max()),
            "memory": {
                name: {
                    "saved": step.saved,
                    "step_peak": step.peak,
                    "peak": fixed + step.peak,
                    "flops_per_step": step.flops,
                }
                for name, step in (("kept", steps[False]), ("checkpointed", steps[True]))
            },
            "flops_per_step": typical.flops,
            "flops": typical.flops * s.steps + per_evaluation * evaluations,
            "pairs": s.steps * s.batch_size,
        }

    @staticmethod
    def _named(training: Training) -> List[Tuple[str, Measured]]:
        return list(zip(("image", "text"), training.sides))

    def _tokens_per_pair(self, training: Training, padded: np.ndarray) -> Dict[str, float]:
        items = np.unique(np.concatenate([*training.batches, training.held_out]))
        tokens = {name: mean_length(side.lengths[items]) for name, side in self._named(training)}
        return {**tokens, "padded": mean_length(padded / self.settings.batch_size)}

    def sides(self, training: Training, batch: np.ndarray) -> Batch:
        """Return the model's inputs of the chosen items: images, texts."""
        return [side.batch(self.backbone.processor, batch) for side in training.sides]

    def trace_step(self, trainer: AdapterTrainer, batch: Batch) -> Step:
        """Return what a training step needs, without the loss, whose matrices are those of a batch of vectors."""
        trainer.backbone.train_mode(trainer.adapted, True)
        with _traced(trainer.adapted) as trace:
            vectors = trainer.vectors(batch)
            saved = trace.live
            torch.autograd.backward(vectors, [torch.empty_like(side) for side in vectors])
            return Step(saved, trace.peak, trace.flops)

    def trace_encode(self, modality: str, batch: Dict[str, Tensor]) -> Tuple[int, int]:
        """Return the peak in bytes beside the weights, and the operations, of encoding a batch with a merged adapter or none."""
        with _traced(self.backbone.model) as trace, torch.no_grad():
            encode(self.backbone, None, batch, modality, self.settings.pooling)
            return trace.peak, trace.flops

    def _forward_flops(self, modality: str, inputs: Measured, chosen: np.ndarray, in_shards: bool) -> int:
        """Return the operations of encoding the chosen inputs in batches of similar length, from a batch of median length."""
        lengths = inputs.lengths[chosen]
        tokens = padded_tokens(lengths, self._budgets(lengths, in_shards), self.settings.token_budget)
        median = chosen[np.argsort(lengths, kind="stable")[len(lengths) // 2]]
        _, flops = self.trace_encode(modality, inputs.batch(self.backbone.processor, [median]))
        return round(flops * tokens / int(inputs.lengths[median]))

    def _budgets(self, lengths: np.ndarray, in_shards: bool) -> List[np.ndarray]:
        """Return the positions of each shard, longest first; one shard of all inputs if they are not written in shards."""
        order = np.argsort(-lengths, kind="stable")
        size = self.settings.shard_items if in_shards else max(len(order), 1)
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _extraction(self) -> Dict[str, Any]:
        parts: Dict[str, Any] = {}
        for name, inputs in self.catalogue.modalities.items():
            if not len(inputs.lengths):
                continue
            everything = np.arange(len(inputs.lengths))
            shards = self._budgets(inputs.lengths, True)
            first = token_batches(inputs.lengths[shards[0]], self.settings.token_budget)[0]
            parts[name] = {
                "inputs": len(inputs.lengths),
                "tokens_per_input": mean_length(inputs.lengths),
                "padded_tokens": padded_tokens(inputs.lengths, shards, self.settings.token_budget),
                "batch_peak": self.batch_peak(name, inputs, shards[0][first]),
                "flops": self._forward_flops(name, inputs, everything, True),
            }
        if not parts:
            raise InputError(f"{self.settings.items}: no item has a modality that {self.settings.backbone} reads")
        weights = weight_bytes(self.backbone.model, self.settings.quantization)
        peak = weights + max(part["batch_peak"] for part in parts.values())
        targets = set(self.backbone.adapter_targets())
        copies = sum(m.weight.nbytes for name, m in self.backbone.model.named_modules() if name in targets)
        return {
            "modalities": parts,
            "peak": peak,
            "copies_of_merged_weights": copies,
            "flops": sum(part["flops"] for part in parts.values()),
        }

    def batch_peak(self, modality: str, inputs: Measured, batch: np.ndarray) -> int:
        """Return the peak of encoding a batch; it is linear in the number of inputs of one length."""
        longest = batch[np.argmax(inputs.lengths[batch])]
        rows = [len(batch)] if len(batch) <= PROBES[1] else list(PROBES)
        peaks = [self.trace_encode(modality, inputs.batch(self.backbone.processor, [longest] * n))[0] for n in rows]
        if len(rows) == 1:
            return peaks[0]
        return peaks[1] + (peaks[1] - peaks[0]) * (len(batch) - rows[1]) // (rows[1] - rows[0])


def _traced(model: nn.Module) -> MetaTrace:
    return MetaTrace([*model.parameters(), *model.buffers()])


def weight_bytes(model: nn.Module, quantization: Optional[str]) -> int:
    """Return the bytes of a model's weights; with quantisation, those of linear layers other than the output layer shrink."""
    head = getattr(model, "lm_head", None)
    linear = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear) and m is not head}
    factor = {} if quantization is None else dict.fromkeys(linear, QUANTIZED[quantization])
    tensors = [*model.parameters(), *model.buffers()]
    return round(sum(tensor.numel() * factor.get(id(tensor), tensor.element_size()) for tensor in tensors))


def padded_tokens(lengths: np.ndarray, shards: List[np.ndarray], budget: int) -> int:
    """Return the number of tokens of all batches with padding, where each shard is divided into batches."""
    total = 0
    for shard in shards:
        total += sum(len(batch) * int(lengths[shard][batch].max()) for batch in token_batches(lengths[shard], budget))
    return total
