"""Throughput of this machine: operations per second of a few training steps and encoded batches."""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, cast

import torch

from recbole_sda.errors import InputError
from recbole_sda.lvlm.adapter_trainer import AdapterTrainer
from recbole_sda.lvlm.backbone import Backbone, load_backbone
from recbole_sda.lvlm.devices import default_device
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.meta_trace import fused_attention
from recbole_sda.lvlm.planner import Planner
from recbole_sda.lvlm.planner_inputs import Training
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.machine.memory import GIB, free_memory

ROUNDS = 3  # of which the fastest counts, after one that is not timed
ROWS = 8  # inputs of an encoded batch
WEIGHTS = ("*.safetensors", "*.bin")


def measure(planner: Planner, plan: Dict[str, Any], settings: LVLMSettings) -> Dict[str, float]:
    """Return operations per second of ``adapt`` and ``extract`` on this machine.

    Args:
        planner: what was planned.
        plan: see :meth:`Planner.plan`.
        settings: settings of the stage, with the device.

    Raises:
        InputError: the device has less free memory than the plan needs.
    """
    device = default_device(settings.device)
    checkpointing = "checkpointed" if settings.gradient_checkpointing else "kept"
    needed = max(plan["extract"]["peak"], plan.get("adapt", {}).get("memory", {}).get(checkpointing, {}).get("peak", 0))
    free = free_memory(device)
    if free is not None and needed > free:
        raise InputError(
            f"--measure=True needs {needed / GIB:.1f} GiB on {device}, {free / GIB:.1f} GiB are free; lower batch_size or "
            "token_budget, set gradient_checkpointing, or give --tflops"
        )
    backbone = with_weights(planner, settings, device)
    rates = {"extract": _encoding_rate(planner, backbone, settings)}
    if planner.catalogue.training is not None:
        rates["adapt"] = _training_rate(planner, backbone, settings)
    return rates


def with_weights(planner: Planner, settings: LVLMSettings, device: torch.device) -> Backbone:
    """Return the backbone with its weights, or with random ones where only its configuration is there."""
    path = Path(str(settings.backbone))
    if not path.exists() or (path.is_dir() and any(file for pattern in WEIGHTS for file in path.glob(pattern))):
        return load_backbone(settings)
    config = planner.backbone.model.config
    torch.manual_seed(settings.seed)
    with device:
        model = type(planner.backbone.model)._from_config(config, dtype=getattr(torch, settings.dtype))
    return planner.backbone._replace(model=model.requires_grad_(False).eval())


def _encoding_rate(planner: Planner, backbone: Backbone, settings: LVLMSettings) -> float:
    flops, seconds = 0, 0.0
    for name, inputs in planner.catalogue.modalities.items():
        if not len(inputs.lengths):
            continue
        median = int(inputs.lengths.argsort(kind="stable")[len(inputs.lengths) // 2])
        batch = inputs.batch(planner.backbone.processor, [median] * ROWS)
        with fused_attention():
            flops += planner.trace_encode(name, batch)[1]
        with torch.no_grad():
            seconds += fastest(partial(encode, backbone, None, batch, name, settings.pooling), backbone.device)
    return flops / seconds


def _training_rate(planner: Planner, backbone: Backbone, settings: LVLMSettings) -> float:
    training = cast(Training, planner.catalogue.training)
    padded = training.padded()
    batch = training.batches[int(padded.argsort(kind="stable")[len(padded) // 2])]
    inputs = [side.batch(planner.backbone.processor, batch) for side in training.sides]
    with fused_attention():
        flops = planner.trace_step(planner.trainer(settings.method, settings.gradient_checkpointing), inputs).flops
    trainer = AdapterTrainer(backbone, replace(settings, steps=ROUNDS + 1))
    numbers: List[int] = list(range(ROUNDS + 1))
    return flops / fastest(lambda: trainer.step(numbers.pop(0), inputs), backbone.device)


def fastest(action: Callable[[], Any], device: torch.device) -> float:
    """Return the seconds of the fastest of :data:`ROUNDS` calls, after one that is not timed."""
    times = []
    for _ in range(ROUNDS + 1):
        _wait(device)
        start = time.perf_counter()
        action()
        _wait(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
