"""Training steps of an adapter on the images and texts of a batch, in one process or several."""

from functools import reduce
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor, distributed, nn
from transformers import get_scheduler

from recbole_sda.errors import InputError, one_line
from recbole_sda.io.optimizer_state import load_optimizer_state
from recbole_sda.io.schema import COUNT, NUMBER, check_shape
from recbole_sda.lvlm.adaptation_loss import AdaptationLoss
from recbole_sda.lvlm.adapters import attach
from recbole_sda.lvlm.backbone import Backbone
from recbole_sda.lvlm.batching import length_groups
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.machine import torchrun

SCHEDULE = {"last_epoch": COUNT, "base_lrs": [NUMBER], "_last_lr?": [NUMBER]}  # of its state
SCHEDULES = {"constant": "constant_with_warmup"}  # key -> name in transformers, where they differ


class AdapterTrainer:
    """A backbone with a new adapter, the loss, the optimizer and its learning rate schedule.

    A step has two forward passes, first images, then texts, the latter in ``text_groups`` of similar length. The loss is computed
    in float32. With several processes, each encodes its part of the batch, and the loss is that of the whole batch.

    Args:
        backbone: the frozen model.
        settings: settings of the stage.

    Attributes:
        targets: names of the adapted linear layers.
        adapted: the backbone's model with the adapter.
        loss: see :class:`~recbole_sda.lvlm.adaptation_loss.AdaptationLoss`.
        weights: the adapter's trainable parameters.
    """

    def __init__(self, backbone: Backbone, settings: LVLMSettings):
        self.backbone, self.settings = backbone, settings
        torch.manual_seed(settings.seed)
        self.targets = backbone.adapter_targets()
        self.adapted = attach(backbone.model, self.targets, settings, len(backbone.modalities))
        self.loss = AdaptationLoss(settings).to(backbone.device)
        self.weights = [p for p in self.adapted.parameters() if p.requires_grad]
        groups: List[Dict[str, Any]] = [
            {"params": self.weights, "weight_decay": settings.weight_decay},
            {"params": list(self.loss.parameters()), "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.learning_rate)
        warmup_steps = round(settings.warmup_share * settings.steps)
        name = SCHEDULES.get(settings.schedule, settings.schedule)
        self.schedule = get_scheduler(name, self.optimizer, warmup_steps, settings.steps)

    def vectors(self, batch: List[Dict[str, Tensor]]) -> Tuple[Tensor, Tensor]:
        """Return the image vectors and the text vectors of this process's items, each (n, dim).

        Args:
            batch: the model's inputs: images, texts.
        """
        image, text = batch
        return self._encode(image, "image"), self._text_vectors(text)

    def _encode(self, inputs: Dict[str, Tensor], modality: str) -> Tensor:
        return encode(self.backbone, self.adapted, inputs, modality, self.settings.pooling)

    def _text_vectors(self, inputs: Dict[str, Tensor]) -> Tensor:
        rows, parts = zip(*length_groups(inputs, self.backbone.text_groups(self.settings.text_groups)))
        vectors = torch.cat([self._encode(part, "text") for part in parts])
        return vectors[torch.cat(rows).argsort()]

    def step(
        self, number: int, batch: List[Dict[str, Tensor]], co_purchases: Optional[Tensor] = None
    ) -> Dict[str, float]:
        """Take one training step.

        Args:
            number: number of the step, from 0. Seed, step and process determine dropout, so a resumed run repeats it.
            batch: the model's inputs of this process's items: images, texts.
            co_purchases: co-purchase counts among the items of all processes, (batch_size, batch_size).

        Returns:
            The weighted terms of the loss, and the gradient's norm before clipping.

        Raises:
            InputError: the loss or its gradient is not finite.
        """
        torch.manual_seed(step_seed(self.settings.seed, number))
        self.backbone.train_mode(self.adapted, True)
        self.optimizer.zero_grad(set_to_none=True)
        terms = self.loss_terms(batch, co_purchases)
        total(terms).backward()
        all_reduce_gradients(self.weights, self.loss)
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(trained, self.settings.clip_norm or float("inf"))
        if not norm.isfinite() or not all(value.isfinite() for value in terms.values()):
            values = ", ".join(f"{name} {float(value):.4g}" for name, value in terms.items())
            raise InputError(
                f"step {number + 1}: the loss or its gradient is not finite ({values}). The best adapter of earlier evaluations "
                f"is kept. Try a learning_rate below {self.settings.learning_rate:g}, or dtype=float32"
            )
        self.optimizer.step()
        self.schedule.step()
        return {**{name: float(value.detach()) for name, value in terms.items()}, "gradient_norm": float(norm)}

    def loss_terms(self, batch: List[Dict[str, Tensor]], co_purchases: Optional[Tensor] = None) -> Dict[str, Tensor]:
        """Return the weighted terms of the loss over the items of all processes; see :meth:`step` for the arguments."""
        image, text = self.vectors(batch)
        if co_purchases is not None:
            co_purchases = co_purchases.to(image.device)
        return self.loss(all_gather_vectors(image), all_gather_vectors(text), co_purchases)

    def state(self) -> Dict[str, Any]:
        """Return the state that :meth:`load_state` restores."""
        return {
            "adapter": {name: p for name, p in self.adapted.named_parameters() if p.requires_grad},
            "objective": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load_state(self, state: Dict[str, Any], where: str = "state") -> None:
        """Restore a state that :meth:`state` returned.

        Raises:
            InputError: it is none of this adapter; ``where`` names the file.
        """
        shape = {"adapter": {str: Tensor}, "objective": dict, "optimizer": dict, "schedule": SCHEDULE}
        check_shape(state, shape, where)
        parameters = {name: p for name, p in self.adapted.named_parameters() if p.requires_grad}
        shapes = [{name: tuple(p.shape) for name, p in of.items()} for of in (parameters, state["adapter"])]
        if shapes[0] != shapes[1]:
            raise InputError(f"{where}: the tensors of the adapter have other names or shapes than this adapter's")
        with torch.no_grad():
            for name, value in state["adapter"].items():
                parameters[name].copy_(value)
        try:
            self.loss.load_state_dict(state["objective"])
        except RuntimeError as error:
            raise InputError(f"{where}: objective: {one_line(error)}") from None
        load_optimizer_state(self.optimizer, state["optimizer"], f"{where}: optimizer")
        self.schedule.load_state_dict(state["schedule"])


def total(terms: Dict[str, Tensor]) -> Tensor:
    """Return the sum of the terms of a loss."""
    return reduce(torch.add, terms.values())


def step_seed(seed: int, number: int) -> int:
    """Return the random seed of a training step in this process."""
    return int(np.random.SeedSequence([seed, number, torchrun.rank()]).generate_state(1)[0])


def all_gather_vectors(vectors: Tensor) -> Tensor:
    """Return the vectors of all processes in order of rank, (n_processes * n, dim).

    Gradients flow only to this process's vectors. Every process computes the same loss from all vectors, so the gradient
    of that loss is the sum of the processes' gradients; :func:`all_reduce_gradients` computes it.
    """
    if torchrun.world_size() == 1:
        return vectors
    parts = [torch.empty_like(vectors) for _ in range(torchrun.world_size())]
    distributed.all_gather(parts, vectors.detach().contiguous())
    parts[torchrun.rank()] = vectors
    return torch.cat(parts)


def all_reduce_gradients(weights: List[nn.Parameter], loss: nn.Module) -> None:
    """Sum the gradients of the adapter's weights over processes, and average those of the loss's own parameters.

    The latter are the same in all processes.
    """
    if torchrun.world_size() == 1:
        return
    of_loss = [p.grad for p in loss.parameters() if p.grad is not None]
    for gradient in of_loss:
        gradient /= torchrun.world_size()
    for p in weights:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    gradients = [*(p.grad for p in weights if p.grad is not None), *of_loss]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()
