"""CMSA and collaborative alignment as terms of a recommender's loss: what all *_SDA models share (arXiv 2512.06883)."""

import logging
from typing import Any, ContextManager, Dict, List, Optional, Sequence, Tuple, Union

import torch
from recbole.data.interaction import Interaction
from torch import Tensor, nn

from recbole_sda.errors import InputError
from recbole_sda.layers.item_embedding import EncodedItemEmbedding
from recbole_sda.layers.modality_features import AdaptedFeatures, ModalityFeatures
from recbole_sda.losses.alignment import CollaborativeAlignment
from recbole_sda.losses.cmsa import CMSALoss, multimodal_cmsa
from recbole_sda.losses.infonce import InfoNCELoss
from recbole_sda.losses.soft_targets import SoftTargets
from recbole_sda.model.mixin_base import Loss, Recommender
from recbole_sda.model.settings import SDASettings

logger = logging.getLogger(__name__)


def build_cmsa(settings: SDASettings) -> Union[CMSALoss, InfoNCELoss]:
    """Return the loss between two modalities: InfoNCE where ``cmsa_teacher`` is ``identity``, else CMSA."""
    if settings.cmsa_teacher == "identity":
        return InfoNCELoss(settings.cmsa_temperature, settings.cmsa_learnable, settings.cmsa_normalize)
    return CMSALoss(
        settings.cmsa_temperature,
        settings.cmsa_learnable,
        settings.cmsa_teacher_scale,
        settings.cmsa_normalize,
        settings.cmsa_detach_teacher,
    )


class SDALoss(Recommender):
    """Mixin that precedes a recommender whose item features pass an encoder; a subclass sets ``settings`` and ``items``.

    Attributes:
        base_name: name of the model without SDA. Set by the registry.
        settings: the SDA keys of the configuration.
        loss_names: names of the terms of the last loss, in order.
        modality_names: the modalities, in the store's order; empty without encoded features.
        cmsa: the loss between two modalities; None where ``cmsa_weight`` is 0.
        alignment: the loss against an item table trained on ids alone; None where ``alignment_weight`` is 0.
        soft_targets: the teacher of the recommendation loss; None where ``soft_targets`` is 0.
    """

    base_name = ""
    settings: SDASettings
    loss_names: Tuple[str, ...] = ("recommendation",)
    modality_names: Tuple[str, ...] = ()
    cmsa: Optional[Union[CMSALoss, InfoNCELoss]]
    alignment: Optional[CollaborativeAlignment]
    soft_targets: Optional[SoftTargets]

    @property
    def items(self) -> Union[EncodedItemEmbedding, ModalityFeatures]:
        """The module that encodes the items' features."""
        raise NotImplementedError

    def _add_cmsa(self) -> None:
        self.cmsa = None
        self.alignment = None
        self._entropies: List[Tensor] = []
        if self.settings.cmsa_weight > 0:
            if len(self.modality_names) < 2:
                logger.warning("cmsa_weight is %g, but with one modality CMSA is zero", self.settings.cmsa_weight)
            self.cmsa = build_cmsa(self.settings)

    def _step(self) -> ContextManager[None]:
        """Return the context manager of one training step."""
        return self.items.step()

    def _begin_step(self, interaction: Any) -> None:
        """Hook: called inside the training step, before the base model's loss."""

    def calculate_loss(self, interaction: Any) -> Loss:
        """Return the base model's loss and the weighted SDA terms as a tuple, the form that RecBole's trainer accepts.

        Without SDA terms the return value is the base model's own. ``loss_names`` names the terms.
        """
        batch = self._soft_batch(interaction)
        with self._step():
            self._begin_step(batch)
            base = super().calculate_loss(batch)
            terms = dict(zip(_base_names(base), base if isinstance(base, tuple) else (base,)))
            if self.cmsa is not None:
                items = _sample(self._batch_items(batch), self.settings.cmsa_max_items)
                terms["cmsa"] = self.settings.cmsa_weight * self._cmsa(self.cmsa, items)
            if self.alignment is not None:
                items = _sample(self._batch_items(batch), self.settings.alignment_max_items)
                terms["alignment"] = self.settings.alignment_weight * self.alignment(items, self.items(items))
        self.loss_names = tuple(terms)
        return base if self.cmsa is None and self.alignment is None else tuple(terms.values())

    def learning_rate_factors(self) -> List[Tuple[Sequence[nn.Parameter], float]]:
        """Return parameters with learning rates of their own, as pairs of them and their factor of ``learning_rate``."""
        of_base: List[Tuple[Sequence[nn.Parameter], float]] = getattr(super(), "learning_rate_factors", list)()
        return [(self.items.encoder_weights(), self.settings.encoder_lr_factor), *of_base]

    def before_epoch(self, epoch: int) -> None:
        """Set the weight of soft targets in this epoch, counted from 0."""
        of_base = getattr(super(), "before_epoch", None)
        if of_base is not None:
            of_base(epoch)
        if self.soft_targets is not None and self.settings.soft_targets_epochs is not None:
            self.soft_targets.factor = max(0.0, 1.0 - epoch / self.settings.soft_targets_epochs)

    def _soft_batch(self, interaction: Any) -> Any:
        """Return the batch with targets drawn from their soft targets, for a model whose loss does not compute these itself."""
        if self.soft_targets is None or getattr(self, "computes_softmax", False):
            return interaction
        field = getattr(self, getattr(self, "target_field", "ITEM_ID"))
        if field not in interaction.interaction:
            raise InputError(
                f"soft_targets={self.settings.soft_targets}: {self.base_name} trains on users, not on target items"
            )
        items = self.soft_targets.draw_targets(interaction[field])
        return Interaction({**interaction.interaction, field: items})

    def _batch_items(self, interaction: Any) -> Tensor:
        """Return the distinct target items of a batch; all items for a batch of users alone (ENMF)."""
        if self.ITEM_ID not in interaction.interaction:
            return torch.arange(1, self.items.n_items, device=self.items.present.device)
        items = interaction[self.ITEM_ID].unique()
        return items[items > 0]

    def _cmsa(self, loss: Union[CMSALoss, InfoNCELoss], ids: Tensor) -> Tensor:
        items = self.items
        assert isinstance(items, (EncodedItemEmbedding, AdaptedFeatures))  # settings refuse CMSA without an encoder
        features, present = items.frozen_features(ids)
        teachers = features if self.settings.cmsa_teacher == "features" else None
        value = multimodal_cmsa(loss, items.modalities(ids), present, teachers)
        if loss.target_entropy is not None:
            self._entropies.append(loss.target_entropy)
        return value

    def diagnostics(self) -> Dict[str, float]:
        """Return figures of the epoch that just ended.

        ``gate/<modality>/<expert>``: mixture weights of the experts; ``cmsa/temperature``; ``cmsa/target_entropy``: mean
        entropy of CMSA's targets over the epoch's steps, in nats.
        """
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


def _base_names(loss: Loss) -> Tuple[str, ...]:
    if isinstance(loss, tuple):
        return tuple(f"recommendation_{k}" for k in range(1, len(loss) + 1))
    return ("recommendation",)


def _sample(items: Tensor, limit: int) -> Tensor:
    """Return ``items``, or ``limit`` of them drawn at random without replacement."""
    if len(items) <= limit:
        return items
    return items[torch.randperm(len(items), device=items.device)[:limit]]
