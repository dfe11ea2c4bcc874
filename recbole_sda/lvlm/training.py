"""An adapter in training: one step of the optimiser on the pictures and texts of a batch, alone or in several processes."""

from typing import Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor, distributed, nn
from transformers import get_scheduler

from recbole_sda.errors import InputError
from recbole_sda.lvlm.adapters import attach
from recbole_sda.lvlm.backbone import Backbone
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.objective import AdaptationLoss
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.machine import torchrun

SCHEDULES = {"constant": "constant_with_warmup"}  # our name -> transformers' where they differ


class AdapterTrainer:
    """A backbone with a new adapter, the objective, the optimiser and its schedule.

    Two passes per step, pictures then texts, each of one modality; the loss in float32. In several processes every one
    encodes its part of the batch, and the loss is that of the whole batch.

    Args:
        backbone: frozen.
        settings: of the stage.
    """

    def __init__(self, backbone: Backbone, settings: LVLMSettings):
        self.backbone, self.settings = backbone, settings
        torch.manual_seed(settings.seed)
        self.targets = backbone.adapter_targets()
        self.adapted = attach(backbone.model, self.targets, settings, len(backbone.modalities))
        device = next(backbone.model.parameters()).device
        self.objective = AdaptationLoss(settings).to(device)
        self.weights = [p for p in self.adapted.parameters() if p.requires_grad]
        groups = [{"params": self.weights, "weight_decay": settings.weight_decay}]
        groups.append({"params": list(self.objective.parameters()), "weight_decay": 0.0})
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.learning_rate)
        warmup = round(settings.warmup_share * settings.steps)
        name = SCHEDULES.get(settings.schedule, settings.schedule)
        self.schedule = get_scheduler(name, self.optimizer, warmup, settings.steps)

    def vectors(self, batch: List[Dict[str, Tensor]]) -> Tuple[Tensor, Tensor]:
        """Return the image and the text vectors of the model's inputs of this process's items, each (n, dim)."""
        image, text = (
            encode(self.backbone, self.adapted, inputs, modality, self.settings.pooling)
            for inputs, modality in zip(batch, ("image", "text"))
        )
        return image, text

    def step(self, number: int, batch: List[Dict[str, Tensor]], together: Optional[Tensor] = None) -> Dict[str, float]:
        """Take a step and return the weighted terms of the loss and the gradient's norm.

        Args:
            number: of the step. Dropout is drawn from seed, step and process, so that a resumed run repeats it.
            batch: inputs of this process's items: pictures, texts.
            together: co-purchases among the items of all processes, (batch_size, batch_size).
        """
        torch.manual_seed(step_seed(self.settings.seed, number))
        self.backbone.train_mode(self.adapted, True)
        self.optimizer.zero_grad(set_to_none=True)
        terms = self.loss_terms(batch, together)
        sum(terms.values()).backward()
        share_gradients(self.weights, self.objective)
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(trained, self.settings.clip_norm or float("inf"))
        if not norm.isfinite() or not all(value.isfinite() for value in terms.values()):
            told = ", ".join(f"{name} {float(value):.4g}" for name, value in terms.items())
            raise InputError(
                f"step {number + 1}: the loss or its gradient is not finite ({told}); the best adapter so far is kept. A smaller "
                f"learning_rate than {self.settings.learning_rate:g}, or dtype=float32, may help"
            )
        self.optimizer.step()
        self.schedule.step()
        return {**{name: float(value.detach()) for name, value in terms.items()}, "gradient_norm": float(norm)}

    def loss_terms(self, batch: List[Dict[str, Tensor]], together: Optional[Tensor] = None) -> Dict[str, Tensor]:
        """Return the weighted terms of the loss over the items of all processes."""
        image, text = self.vectors(batch)
        if together is not None:
            together = together.to(image.device)
        return self.objective(gathered(image), gathered(text), together)

    def state(self) -> dict:
        """Return what :meth:`load_state` needs to go on."""
        return {
            "adapter": {name: p for name, p in self.adapted.named_parameters() if p.requires_grad},
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load_state(self, state: dict) -> None:
        """Go back to a state."""
        own = dict(self.adapted.named_parameters())
        with torch.no_grad():
            for name, value in state["adapter"].items():
                own[name].copy_(value)
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])


def step_seed(seed: int, number: int) -> int:
    """Return the seed of a step in this process."""
    return int(np.random.SeedSequence([seed, number, torchrun.rank()]).generate_state(1)[0])


def gathered(vectors: Tensor) -> Tensor:
    """Return the vectors of all processes in their order, (n_processes * n, dim); a gradient flows to this one's alone.

    Every process computes the same loss of all vectors, so the sum over processes of their weights' gradients is the
    gradient of that loss: :func:`share_gradients` takes it.
    """
    if torchrun.world_size() == 1:
        return vectors
    parts = [torch.empty_like(vectors) for _ in range(torchrun.world_size())]
    distributed.all_gather(parts, vectors.detach().contiguous())
    parts[torchrun.rank()] = vectors
    return torch.cat(parts)


def share_gradients(weights: List[nn.Parameter], objective: nn.Module) -> None:
    """Sum the adapter's gradients over processes; the objective's own are the same in all and are averaged."""
    if torchrun.world_size() == 1:
        return
    own = [p for p in objective.parameters() if p.grad is not None]
    for p in own:
        p.grad /= torchrun.world_size()
    for p in weights:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    flat = torch.cat([p.grad.flatten() for p in [*weights, *own]])
    distributed.all_reduce(flat)
    start = 0
    for p in [*weights, *own]:
        p.grad.copy_(flat[start : start + p.numel()].view_as(p))
        start += p.numel()
