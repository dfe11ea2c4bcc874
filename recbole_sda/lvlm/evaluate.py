"""How well an adapter does on the items that were held out of its training."""

from typing import Dict, List

import torch

from recbole_sda.lvlm.backbone import Backbone
from recbole_sda.lvlm.batching import token_batches
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.inputs import Batches, Inputs, prepared
from recbole_sda.lvlm.retrieval import retrieval_metrics
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.lvlm.training import AdapterTrainer
from recbole_sda.lvlm.training_items import Pairs
from recbole_sda.machine import torchrun


def evaluate(backbone: Backbone, training: AdapterTrainer, pairs: Pairs, settings: LVLMSettings) -> Dict[str, float]:
    """Return retrieval between the pictures and texts of the held-out items, and the entropy of their CMSA targets.

    The target entropy is the mean over blocks of ``batch_size`` items, in nats.
    """
    backbone.train_mode(training.adapted, False)
    sides = [
        encode_all(backbone, training.adapted, inputs, pairs.held_out.tolist(), settings)
        for inputs in (pairs.image, pairs.text)
    ]
    found = retrieval_metrics(*map(training.objective.prepared, sides))
    entropies = []
    device = next(backbone.model.parameters()).device
    with torch.no_grad():
        for start in range(0, len(sides[0]) - 1, settings.batch_size):
            image, text = (side[start : start + settings.batch_size].to(device) for side in sides)
            training.objective(image, text)
            entropies.append(training.objective.target_entropy)
    known = [e for e in entropies if e is not None]
    if known:
        found["target_entropy"] = sum(known) / len(known)
    return found


@torch.no_grad()
def encode_all(backbone: Backbone, adapted, inputs: Inputs, chosen: List[int], settings: LVLMSettings) -> torch.Tensor:
    """Return the vectors of some inputs, (n_chosen, dim), on the CPU; processes share the work."""
    inputs = inputs.only(chosen)
    plan = token_batches(inputs.lengths(backbone.processor), settings.token_budget)
    plan = plan[torchrun.rank() :: torchrun.world_size()]
    batches = Batches([inputs], backbone.processor, plan)
    vectors = torch.empty(len(chosen), backbone.dim)
    parts = []
    for rows, (batch,) in zip(plan, prepared(batches, settings.workers)):
        parts.append((rows, encode(backbone, adapted, batch, inputs.modality, settings.pooling).cpu()))
    for rows, values in torchrun.all_gather_lists(parts):
        vectors[rows] = values
    return vectors
