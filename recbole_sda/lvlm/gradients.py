"""Gradient conflict: do pictures and texts pull the shared weights of a layer the same way? (arXiv 2512.06883)

The loss depends on the weights through the image pass and through the text pass, and its gradient is the sum of both parts. Their
cosine per layer says how far the passes agree: below zero one undoes the other. Two LoRAs share no weight, so it is zero there.
"""

import json
import logging
from pathlib import Path
from typing import Any, Dict, List

import torch
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.features.store import library_versions, sha256_of
from recbole_sda.lvlm.backbone import load_backbone
from recbole_sda.lvlm.devices import join_processes
from recbole_sda.lvlm.inputs import Batches, prepared
from recbole_sda.lvlm.items import read_catalogue
from recbole_sda.lvlm.settings import LVLMSettings, read_settings
from recbole_sda.lvlm.training import AdapterTrainer
from recbole_sda.lvlm.training_items import StepBatches, make_pairs

logger = logging.getLogger(__name__)

METHODS = ("lora", "two_lora", "moda")
RESULT = "gradients.json"


def layer_of(parameter: str) -> str:
    """Return the name of the adapted layer that a parameter of the adapter belongs to."""
    name = parameter.removeprefix("base_model.model.")
    for mark in (".lora_", ".moda_"):
        name = name.partition(mark)[0]
    return name


def low_rank_weights(training: AdapterTrainer) -> Dict[str, Tensor]:
    """Return the matrices A and B of all layers by name; MoDA's gates, which tell modalities apart, are left out."""
    found = training.adapted.named_parameters()
    return {name: p for name, p in found if any(mark in name for mark in ("lora_A", "lora_B", "moda_A", "moda_B"))}


def conflict(training: AdapterTrainer, batch: List[Dict[str, Tensor]]) -> Dict[str, Dict[str, float]]:
    """Return per adapted layer the cosine of A's and B's image and text gradients and their norms, without dropout.

    A layer that one of the passes does not reach, as in a dual encoder or with two LoRAs, has cosine zero.

    Args:
        training: an adapter in training; its state does not change.
        batch: the model's inputs of some items: pictures, texts.
    """
    training.backbone.train_mode(training.adapted, False)
    image, text = training.vectors(batch)
    names, weights = zip(*low_rank_weights(training).items())
    parts = []
    for x, y in ((image, text.detach()), (image.detach(), text)):
        loss = sum(training.objective(x, y).values())
        parts.append(torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True))
    flat: Dict[str, List[List[Tensor]]] = {}
    for name, weight, *both in zip(names, weights, *parts):
        rows = [torch.zeros_like(weight) if g is None else g for g in both]
        flat.setdefault(layer_of(name), []).append([g.flatten() for g in rows])
    found = {}
    for layer, rows in flat.items():
        g_image, g_text = (torch.cat(side).double() for side in zip(*rows))
        norms = float(g_image.norm()), float(g_text.norm())
        cosine = float(g_image @ g_text) / (norms[0] * norms[1]) if min(norms) > 0 else 0.0
        found[layer] = {"cosine": cosine, "image_norm": norms[0], "text_norm": norms[1]}
    return found


def measure(settings: LVLMSettings, points: int = 5, n_batches: int = 4) -> Dict[str, Any]:
    """Train LoRA, two LoRAs and MoDA on the same batches and measure the conflict on held-out items on the way.

    Args:
        settings: of the stage; ``steps`` of training for each.
        points: how often is measured, evenly over the steps, first before training.
        n_batches: held-out batches that each measure is the mean of, at most.

    Returns:
        ``methods``: per method a list of ``{step, mean, negative_share, layers}``; and what it was made with.
    """
    join_processes(settings)
    if settings.method == "none":
        raise InputError("method=none has no gradients")
    catalogue, methods, record = read_catalogue(settings), {}, {}
    for method in METHODS:
        own = read_settings((), {**settings.plain(), "method": method})
        backbone = load_backbone(own)
        if "image" not in backbone.modalities:
            raise InputError(f"backbone={settings.backbone} reads text alone: there is nothing to conflict with")
        pairs = make_pairs(catalogue, backbone.processor, own)
        sides = [pairs.image, pairs.text]
        size = min(own.batch_size, len(pairs.held_out))
        held = [pairs.held_out[k : k + size] for k in range(0, len(pairs.held_out) - size + 1, size)][:n_batches]
        fixed = [[inputs.batch(backbone.processor, rows) for inputs in sides] for rows in held]
        training = AdapterTrainer(backbone, own)
        plan = StepBatches(pairs.train, own.batch_size, own.steps, own.seed)
        at = {round(k * own.steps / max(points - 1, 1)) for k in range(points)}
        methods[method] = [_point(0, training, fixed)]
        for number, batch in enumerate(prepared(Batches(sides, backbone.processor, plan), own.workers)):
            training.step(number, batch)
            if number + 1 in at:
                methods[method].append(_point(number + 1, training, fixed))
        last = methods[method][-1]
        logger.info(
            "%s: mean cosine %.3f, %.0f %% of layers below zero", method, last["mean"], 100 * last["negative_share"]
        )
        record = {"backbone": backbone.describe(), "held_out": len(pairs.held_out), "batches": len(held)}
    return {
        **record,
        "settings": settings.plain(),
        "items_sha256": sha256_of(Path(settings.items)),
        "versions": library_versions("torch", "transformers", "peft"),
        "methods": methods,
    }


def _point(step: int, training: AdapterTrainer, batches: List[List[Dict[str, Tensor]]]) -> Dict[str, Any]:
    each = [conflict(training, batch) for batch in batches]
    layers = {name: sum(found[name]["cosine"] for found in each) / len(each) for name in each[0]}
    negative = sum(value < 0 for value in layers.values()) / len(layers)
    return {"step": step, "mean": sum(layers.values()) / len(layers), "negative_share": negative, "layers": layers}


def write(result: Dict[str, Any], out) -> Path:
    """Write a measurement as JSON into a folder."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / RESULT).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return out / RESULT
