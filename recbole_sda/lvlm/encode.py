"""One forward pass of a backbone, with or without an adapter, from model inputs to vectors."""

from contextlib import nullcontext
from typing import Dict, Optional

import torch
from peft import PeftModel
from torch import Tensor

from recbole_sda.lvlm.adapters import adapter_pass
from recbole_sda.lvlm.backbone import Backbone
from recbole_sda.lvlm.pooling import pool


def to_device(batch: Dict[str, Tensor], device: torch.device) -> Dict[str, Tensor]:
    """Return a batch on a device."""
    return {name: value.to(device, non_blocking=True) for name, value in batch.items()}


def encode(
    backbone: Backbone, adapted: Optional[PeftModel], batch: Dict[str, Tensor], modality: str, pooling: Optional[str]
) -> Tensor:
    """Return the vectors of a batch of one modality, (batch, dim), float32.

    Args:
        backbone: see :func:`recbole_sda.lvlm.backbone.load_backbone`.
        adapted: the backbone's model with an adapter; None for the model itself, bare or with a merged adapter.
        batch: the model's inputs.
        modality: ``image`` or ``text``, the modality of all inputs of the batch.
        pooling: see :func:`recbole_sda.lvlm.pooling.pool`; None: mean.
    """
    batch = to_device(batch, backbone.device)
    number = backbone.modalities.index(modality)
    with nullcontext() if adapted is None else adapter_pass(adapted, number):
        states, mask = backbone.states(batch, modality)
    states = states.to(mask.device)  # a model on several devices returns states on its last device
    if pooling == "image" and modality == "image" and backbone.kind == "vlm":
        mask = backbone.processor.image_token_mask(batch)
    ids: Optional[Tensor] = batch.get("input_ids")
    if ids is not None and ids.shape != mask.shape:
        ids = None
    vectors = pool(states, mask, pooling or "mean", ids, backbone.processor.eos_token_id)
    return vectors if backbone.head is None else backbone.head(vectors)
