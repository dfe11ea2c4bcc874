"""Evaluation of an adapter on the items that were held out of its training."""

from typing import Dict, Optional

import torch
from peft import PeftModel
from torch import Tensor

from recbole_sda.lvlm.adapter_trainer import AdapterTrainer
from recbole_sda.lvlm.backbone import Backbone
from recbole_sda.lvlm.batching import Integers, token_batches
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.inputs import Batches, Inputs, batch_loader
from recbole_sda.lvlm.retrieval import retrieval_metrics
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.lvlm.training_items import TrainingItems
from recbole_sda.machine import torchrun


def evaluate(trainer: AdapterTrainer, items: TrainingItems, settings: LVLMSettings) -> Dict[str, float]:
    """Return retrieval metrics between images and texts of the held-out items, and the entropy of their CMSA targets.

    The target entropy, in nats, is the mean over blocks of ``batch_size`` items; InfoNCE has none.
    """
    backbone = trainer.backbone
    backbone.train_mode(trainer.adapted, False)
    image, text = (
        encode_all(backbone, trainer.adapted, inputs, items.held_out, settings) for inputs in (items.image, items.text)
    )
    metrics = retrieval_metrics(trainer.loss.preprocess(image), trainer.loss.preprocess(text))
    entropies = []
    with torch.no_grad():
        for start in range(0, len(image) - 1, settings.batch_size):
            block = slice(start, start + settings.batch_size)
            trainer.loss(image[block].to(backbone.device), text[block].to(backbone.device))
            entropies.append(trainer.loss.target_entropy)
    values = [entropy for entropy in entropies if entropy is not None]
    if values:
        metrics["target_entropy"] = sum(values) / len(values)
    return metrics


@torch.no_grad()
def encode_all(
    backbone: Backbone, adapted: Optional[PeftModel], inputs: Inputs, chosen: Integers, settings: LVLMSettings
) -> Tensor:
    """Return the vectors of the chosen inputs, (n_chosen, dim), on the CPU; the processes of torchrun share the work."""
    inputs = inputs.subset(chosen)
    plan = token_batches(inputs.lengths(backbone.processor), settings.token_budget)
    plan = plan[torchrun.rank() :: torchrun.world_size()]
    batches = Batches([inputs], backbone.processor, plan)
    vectors = torch.empty(len(chosen), backbone.dim)
    parts = []
    for positions, (batch,) in zip(plan, batch_loader(batches, settings.workers)):
        parts.append((positions, encode(backbone, adapted, batch, inputs.modality, settings.pooling).cpu()))
    for positions, values in torchrun.all_gather_lists(parts):
        vectors[positions] = values
    return vectors
