"""CMSA and alignment as further terms of a recommender's loss: what all *_SDA models share."""

import logging
from typing import Dict, Optional, Tuple

import torch
from torch import Tensor, nn

from recbole_sda.losses.alignment import CollaborativeAlignment
from recbole_sda.losses.cmsa import CMSALoss, multimodal_cmsa
from recbole_sda.losses.infonce import InfoNCELoss
from recbole_sda.model.settings import SDASettings

logger = logging.getLogger(__name__)


def build_cmsa(settings: SDASettings) -> nn.Module:
    """Return the loss between two modalities that the settings name."""
    if settings.cmsa_teacher == "identity":
        return InfoNCELoss(settings.cmsa_temperature, settings.cmsa_learnable, settings.cmsa_normalize)
    return CMSALoss(
        settings.cmsa_temperature,
        settings.cmsa_learnable,
        settings.cmsa_teacher_scale,
        settings.cmsa_normalize,
        settings.cmsa_detach_teacher,
    )


class SDALoss:
    """Mixin in front of a recommender whose item features pass an encoder; it needs ``settings`` and ``items``.

    ``items`` is the module that encodes: :class:`~recbole_sda.layers.item_embedding.EncodedItemEmbedding` or
    :class:`~recbole_sda.layers.modality_features.ModalityFeatures`.

    Attributes:
        base_name: name of the model without SDA. Set by the model table.
        loss_names: names of the terms of the last loss, in order.
    """

    base_name = ""
    settings: SDASettings
    loss_names: Tuple[str, ...] = ("recommendation",)
    modality_names: Tuple[str, ...] = ()

    def _add_cmsa(self) -> None:
        self.cmsa: Optional[nn.Module] = None
        self.alignment: Optional[CollaborativeAlignment] = None
        self._entropies: list = []
        if self.settings.cmsa_weight > 0:
            if len(self.modality_names) < 2:
                logger.warning("cmsa_weight is %g, but with one modality CMSA is zero", self.settings.cmsa_weight)
            self.cmsa = build_cmsa(self.settings)

    def _begin_step(self, interaction) -> None:
        """Do what precedes the loss of a batch, inside the step."""

    def calculate_loss(self, interaction):
        """Return the model's loss and the weighted SDA terms as a tuple, as RecBole's trainer takes it.

        Without SDA terms the return value is the model's own. ``loss_names`` names the terms.
        """
        with self.items.step():
            self._begin_step(interaction)
            base = super().calculate_loss(interaction)
            terms = dict(zip(_base_names(base), base if isinstance(base, tuple) else (base,)))
            if self.cmsa is not None:
                terms["cmsa"] = self.settings.cmsa_weight * self._cmsa(self._batch_items(interaction))
            if self.alignment is not None:
                chosen = _at_most(self._batch_items(interaction), self.settings.alignment_max_items)
                terms["alignment"] = self.settings.alignment_weight * self.alignment(chosen, self.items(chosen))
        self.loss_names = tuple(terms)
        return base if self.cmsa is None and self.alignment is None else tuple(terms.values())

    def _batch_items(self, interaction) -> Tensor:
        """Return the distinct target items of a batch; a batch of users alone (ENMF) stands for the whole catalogue."""
        if self.ITEM_ID not in interaction.interaction:
            return torch.arange(1, self.items.n_items, device=self.items.present.device)
        items = interaction[self.ITEM_ID].unique()
        return items[items > 0]

    def _cmsa(self, items: Tensor) -> Tensor:
        chosen = _at_most(items, self.settings.cmsa_max_items)
        teachers, present = self.items.frozen_rows(chosen)
        if self.settings.cmsa_teacher != "features":
            teachers = None
        loss = multimodal_cmsa(self.cmsa, self.items.modalities(chosen), present, teachers)
        if self.cmsa.target_entropy is not None:
            self._entropies.append(self.cmsa.target_entropy)
        return loss

    def diagnostics(self) -> Dict[str, float]:
        """Return figures of the epoch that just ended: gates, CMSA temperature, mean target entropy (nats)."""
        figures = {}
        encoder = self.items.encoder
        gates = None if encoder is None else encoder.gates()
        if gates is not None:
            for m, name in enumerate(self.modality_names):
                for e, value in enumerate(gates[m].tolist()):
                    figures[f"gate/{name}/{e}"] = value
        if self.cmsa is not None:
            figures["cmsa/temperature"] = self.cmsa.temperature.item()
        if self._entropies:
            figures["cmsa/target_entropy"] = float(torch.stack(self._entropies).mean())
            self._entropies = []
        return figures


def _base_names(loss) -> Tuple[str, ...]:
    if isinstance(loss, tuple):
        return tuple(f"recommendation_{k}" for k in range(1, len(loss) + 1))
    return ("recommendation",)


def _at_most(items: Tensor, limit: int) -> Tensor:
    """Return ``items``, or ``limit`` of them drawn at random without replacement."""
    if len(items) <= limit:
        return items
    return items[torch.randperm(len(items), device=items.device)[:limit]]
