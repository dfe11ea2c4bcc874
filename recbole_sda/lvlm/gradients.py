"""Gradient conflict between modalities in the adapted layers (arXiv 2512.06883).

The loss depends on a layer's weights through the image pass and through the text pass, and its gradient is the sum of both parts.
Their cosine per layer measures how far the two passes agree; below zero they conflict. Two LoRAs share no weights, so there the
cosine is zero.
"""

import json
import logging
from pathlib import Path
from typing import Any, Dict, List, Tuple, Union

import torch
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.features.manifest import library_versions
from recbole_sda.io.atomic_write import write_text
from recbole_sda.io.hashes import sha256_of
from recbole_sda.lvlm.adapter_trainer import AdapterTrainer, total
from recbole_sda.lvlm.backbone import load_backbone, resolved
from recbole_sda.lvlm.devices import join_processes
from recbole_sda.lvlm.inputs import Batches, batch_loader
from recbole_sda.lvlm.items import ItemContent, read_item_content
from recbole_sda.lvlm.settings import LVLMSettings, read_settings
from recbole_sda.lvlm.training_items import StepBatches, select_training_items

logger = logging.getLogger(__name__)

METHODS = ("lora", "two_lora", "moda")
LOW_RANK = ("lora_A", "lora_B", "moda_A", "moda_B")
RESULT = "gradients.json"


def layer_of(parameter: str) -> str:
    """Return the name of the adapted layer that a parameter of the adapter belongs to."""
    name = parameter.removeprefix("base_model.model.")
    for mark in (".lora_", ".moda_"):
        name = name.partition(mark)[0]
    return name


def low_rank_weights(trainer: AdapterTrainer) -> Dict[str, Tensor]:
    """Return the matrices A and B of all layers by name, without MoDA's gates, which are specific to a modality."""
    return {name: p for name, p in trainer.adapted.named_parameters() if any(mark in name for mark in LOW_RANK)}


def conflict(trainer: AdapterTrainer, batch: List[Dict[str, Tensor]]) -> Dict[str, Dict[str, float]]:
    """Return per adapted layer the cosine and the norms of the image and text gradients of A and B, without dropout.

    A layer that one of the passes does not use, as in a dual encoder or with two LoRAs, has cosine zero.

    Args:
        trainer: an adapter in training; its state does not change.
        batch: the model's inputs of some items: images, texts.

    Returns:
        Layer name -> ``cosine`` in [-1, 1], ``image_norm``, ``text_norm``.
    """
    trainer.backbone.train_mode(trainer.adapted, False)
    image, text = trainer.vectors(batch)
    weights = low_rank_weights(trainer)
    parts = []
    for x, y in ((image, text.detach()), (image.detach(), text)):
        loss = total(trainer.loss(x, y))
        parts.append(torch.autograd.grad(loss, list(weights.values()), retain_graph=True, allow_unused=True))
    by_layer: Dict[str, List[Tuple[Tensor, Tensor]]] = {}
    for (name, weight), *pair in zip(weights.items(), *parts):
        of_image, of_text = (torch.zeros_like(weight) if gradient is None else gradient for gradient in pair)
        by_layer.setdefault(layer_of(name), []).append((of_image.flatten(), of_text.flatten()))
    return {layer: _compare(pairs) for layer, pairs in by_layer.items()}


def _compare(pairs: List[Tuple[Tensor, Tensor]]) -> Dict[str, float]:
    image, text = (torch.cat(side).double() for side in zip(*pairs))
    norms = float(image.norm()), float(text.norm())
    cosine = float(image @ text) / (norms[0] * norms[1]) if min(norms) > 0 else 0.0
    return {"cosine": cosine, "image_norm": norms[0], "text_norm": norms[1]}


def measure(settings: LVLMSettings, points: int = 5, n_batches: int = 4) -> Dict[str, Any]:
    """Train LoRA, two LoRAs and MoDA on the same batches, and measure the conflict on held-out items during training.

    Args:
        settings: settings of the stage; each method is trained for ``steps`` steps.
        points: number of measurements, spaced evenly over the steps; the first is before training.
        n_batches: maximum number of held-out batches over which each measurement is averaged.

    Returns:
        ``methods``: per method a list of ``{step, mean, negative_share, layers}``. The other keys record backbone, data,
        settings and versions.

    Raises:
        InputError: ``method`` is none, the backbone reads text only, or there are too few items with both modalities.
    """
    join_processes(settings)
    if settings.method == "none":
        raise InputError("method=none has no gradients")
    settings = resolved(settings)
    content = read_item_content(settings)
    methods: Dict[str, List[Dict[str, Any]]] = {}
    record: Dict[str, Any] = {}
    for method in METHODS:
        methods[method], record = _measure_method(method, settings, content, points, n_batches)
        last = methods[method][-1]
        logger.info(
            "%s: mean cosine %.3f, %.0f %% of layers below zero", method, last["mean"], 100 * last["negative_share"]
        )
    return {
        **record,
        "settings": settings.plain(),
        "items_sha256": sha256_of(Path(str(settings.items))),
        "versions": library_versions("torch", "transformers", "peft"),
        "methods": methods,
    }


def _measure_method(
    method: str, settings: LVLMSettings, content: ItemContent, points: int, n_batches: int
) -> Tuple[List[Dict[str, Any]], Dict[str, Any]]:
    """Train one method; return its measurements, and the record of the backbone and the held-out items."""
    s = read_settings((), {**settings.plain(), "method": method})
    backbone = load_backbone(s)
    if "image" not in backbone.modalities:
        raise InputError(f"backbone={s.backbone} reads text only: a gradient conflict needs images and texts")
    items = select_training_items(content, backbone.processor, s)
    sides = [items.image, items.text]
    size = min(s.batch_size, len(items.held_out))
    starts = range(0, len(items.held_out) - size + 1, size)
    held_out = [items.held_out[start : start + size] for start in starts][:n_batches]
    batches = [[inputs.batch(backbone.processor, positions) for inputs in sides] for positions in held_out]
    trainer = AdapterTrainer(backbone, s)
    plan = StepBatches(items.train, s.batch_size, s.steps, s.seed)
    measured_steps = {round(k * s.steps / max(points - 1, 1)) for k in range(points)}
    measurements = [_measurement(0, trainer, batches)]
    for number, batch in enumerate(batch_loader(Batches(sides, backbone.processor, plan), s.workers)):
        trainer.step(number, batch)
        if number + 1 in measured_steps:
            measurements.append(_measurement(number + 1, trainer, batches))
    record = {"backbone": backbone.describe(), "held_out": len(items.held_out), "batches": len(held_out)}
    return measurements, record


def _measurement(step: int, trainer: AdapterTrainer, batches: List[List[Dict[str, Tensor]]]) -> Dict[str, Any]:
    conflicts = [conflict(trainer, batch) for batch in batches]
    layers = {name: sum(c[name]["cosine"] for c in conflicts) / len(conflicts) for name in conflicts[0]}
    negative = sum(value < 0 for value in layers.values()) / len(layers)
    return {"step": step, "mean": sum(layers.values()) / len(layers), "negative_share": negative, "layers": layers}


def write(result: Dict[str, Any], out: Union[str, Path]) -> Path:
    """Write the result of :func:`measure` as JSON into a folder; return the file's path."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / RESULT, json.dumps(result, indent=1) + "\n")
    return out / RESULT
