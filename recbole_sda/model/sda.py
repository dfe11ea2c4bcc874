"""The SDA mixin: RecBole's own model with an encoded item embedding, CMSA and alignment in its loss."""

import logging
from typing import Dict, Optional, Tuple

import torch
from torch import Tensor, nn

from recbole_sda.layers.item_embedding import EncodedItemEmbedding
from recbole_sda.layers.item_encoder import ItemEncoder, LinearItemEncoder, MoDAItemEncoder
from recbole_sda.losses.alignment import CollaborativeAlignment
from recbole_sda.losses.cmsa import CMSALoss, multimodal_cmsa
from recbole_sda.losses.infonce import InfoNCELoss
from recbole_sda.model.collaborative import load_item_table
from recbole_sda.model.item_features import item_tokens, load_item_features
from recbole_sda.model.settings import SDASettings

logger = logging.getLogger(__name__)


def build_encoder(settings: SDASettings, dims, out_dim: int) -> ItemEncoder:
    """Return the item encoder that the settings name, for features of widths ``dims``."""
    if settings.item_encoder == "linear":
        return LinearItemEncoder(
            dims, out_dim, settings.encoder_hidden_size, settings.feature_dropout, settings.modality_dropout
        )
    return MoDAItemEncoder(
        dims,
        out_dim,
        rank=settings.moda_rank,
        n_experts=settings.moda_experts,
        alpha=settings.moda_alpha,
        dropout=settings.moda_dropout,
        fusion=settings.fusion,
        feature_dropout=settings.feature_dropout,
        modality_dropout=settings.modality_dropout,
    )


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


class SDA:
    """Mixin in front of a RecBole model ``Foo``: ``class Foo_SDA(SDA, Foo)``.

    After Foo's own ``__init__`` its item table is replaced by an :class:`EncodedItemEmbedding`; nothing of Foo is
    copied. The encoder starts at the scale of the table that it replaces or joins, and drawing its weights leaves
    the random stream of the base model untouched, so that with ``item_encoder: identity`` and zero weights Foo_SDA is
    Foo bit for bit.

    Attributes:
        base_name: Foo's name. Set by the model table.
        item_table: name of Foo's attribute that holds the item table. Set by the model table.
        step_items: attributes that name the fields of all items of a step, or nothing. Set by the model table.
        loss_names: names of the terms of the last loss, in order.
    """

    base_name = ""
    item_table = "item_embedding"
    step_items: Tuple[str, ...] = ()

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.settings = SDASettings.from_config(config)
        self.loss_names: Tuple[str, ...] = ("recommendation",)
        self.feature_record: Optional[dict] = None
        self.modality_names: Tuple[str, ...] = ()
        self.cmsa: Optional[nn.Module] = None
        self.alignment: Optional[CollaborativeAlignment] = None
        self._entropies: list = []
        base = getattr(self, self.item_table)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(config["seed"]))
            setattr(self, self.item_table, self._encoded(config, dataset, base))
        self._add_losses(config, dataset)

    @property
    def items(self) -> EncodedItemEmbedding:
        """The encoded item embedding."""
        return getattr(self, self.item_table)

    def _encoded(self, config, dataset, base: nn.Embedding) -> EncodedItemEmbedding:
        settings, n_items = self.settings, dataset.item_num
        if settings.item_encoder == "identity":
            return EncodedItemEmbedding(base, n_items)
        aligned, self.feature_record = load_item_features(config, dataset, settings)
        self.modality_names = tuple(aligned.modalities)
        matrices = [aligned.matrices[name] for name in aligned.modalities]
        encoder = build_encoder(settings, [matrix.shape[1] for matrix in matrices], base.embedding_dim)
        trust = None
        if settings.id_shrinkage > 0:
            count = torch.from_numpy(dataset.training_counts.items).float()
            trust = count / (count + settings.id_shrinkage)
        embedding = EncodedItemEmbedding(
            base,
            n_items,
            encoder,
            matrices,
            aligned.present,
            add_ids=settings.id_embedding == "add",
            trust=trust,
            id_dropout=settings.id_dropout,
        )
        with torch.no_grad():
            embedding.eval()
            _, start = encoder(embedding.features, embedding.present)
            wanted = settings.encoder_scale * base.weight[1:n_items].std()
            encoder.scale_(float(wanted / start.std().clamp(min=1e-12)))
            embedding.train()
        return embedding

    def _add_losses(self, config, dataset) -> None:
        settings = self.settings
        if settings.cmsa_weight > 0:
            if len(self.modality_names) < 2:
                logger.warning("cmsa_weight is %g, but with one modality CMSA is zero", settings.cmsa_weight)
            self.cmsa = build_cmsa(settings)
        if settings.alignment_weight > 0:
            table, known = load_item_table(
                settings.alignment_run, item_tokens(dataset), self.base_name, self.item_table, self.items.embedding_dim
            )
            self.alignment = CollaborativeAlignment(
                table, known, settings.alignment_temperature, settings.alignment_normalize
            )

    def calculate_loss(self, interaction):
        """Return Foo's loss and the weighted SDA terms as a tuple, as RecBole's trainer takes it.

        Without SDA terms the return value is Foo's own. ``loss_names`` names the terms.
        """
        with self.items.step():
            if self.step_items and self.items.encoder is not None:
                fields = [interaction[getattr(self, name)].flatten() for name in self.step_items]
                self.items.only(torch.cat(fields))
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
        teachers = None
        if self.settings.cmsa_teacher == "features":
            teachers = [matrix[chosen - 1] for matrix in self.items.features]
        present = self.items.present[:, chosen - 1]
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
