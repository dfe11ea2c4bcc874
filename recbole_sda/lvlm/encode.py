"""One pass of a backbone, with or without an adapter, from prepared inputs to vectors."""

from contextlib import nullcontext
from typing import Dict, Optional

from torch import Tensor

from recbole_sda.lvlm.adapters import adapter_pass
from recbole_sda.lvlm.backbone import Backbone
from recbole_sda.lvlm.pooling import pool


def to_device(batch: Dict[str, Tensor], device) -> Dict[str, Tensor]:
    """Return a batch on a device."""
    return {name: value.to(device, non_blocking=True) for name, value in batch.items()}


def encode(backbone: Backbone, adapted, batch: Dict[str, Tensor], modality: str, pooling: str) -> Tensor:
    """Return the vectors of a batch of one modality, (batch, dim), float32.

    Args:
        backbone: see :func:`recbole_sda.lvlm.backbone.load_backbone`.
        adapted: the backbone's model with an adapter, or None for the bare (or merged) model.
        batch: the model's inputs.
        modality: ``image`` or ``text``: all inputs of a batch are of one.
        pooling: see :func:`recbole_sda.lvlm.pooling.pool`.
    """
    batch = to_device(batch, next(backbone.model.parameters()).device)
    number = backbone.modalities.index(modality)
    with nullcontext() if adapted is None else adapter_pass(adapted, number):
        states, mask = backbone.states(batch, modality)
    states = states.to(mask.device)  # of a model on several devices, they come from the last
    if pooling == "image" and modality == "image" and backbone.kind == "vlm":
        mask = backbone.processor.image_token_mask(batch)
    ids: Optional[Tensor] = batch.get("input_ids")
    if ids is not None and ids.shape != mask.shape:
        ids = None
    return pool(states, mask, pooling, ids, backbone.processor.eos_token_id)
