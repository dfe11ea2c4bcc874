"""The SDA mixin: RecBole's own model with an encoded item embedding, CMSA and alignment in its loss."""

from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

import torch
from recbole.utils import ModelType
from torch import Tensor, nn

from recbole_sda.errors import InputError
from recbole_sda.features.store_choice import store_folder
from recbole_sda.io.checkpoint import LAST
from recbole_sda.layers.item_embedding import EncodedItemEmbedding
from recbole_sda.layers.item_encoder import ItemEncoder, LinearItemEncoder, MoDAItemEncoder
from recbole_sda.losses.alignment import CollaborativeAlignment
from recbole_sda.model.completed_items import CompletedItems
from recbole_sda.model.id_content import IdContent
from recbole_sda.model.id_table import load_item_table
from recbole_sda.model.item_features import load_item_features
from recbole_sda.model.sda_loss import SDALoss
from recbole_sda.model.settings import SDASettings


def build_encoder(settings: SDASettings, dims: Sequence[int], out_dim: int) -> ItemEncoder:
    """Return the item encoder that ``item_encoder`` names, ``moda`` or ``linear``.

    Args:
        settings: the encoder's name, sizes and dropout.
        dims: width of each modality's features.
        out_dim: width of the encoded items.
    """
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


class SDA(CompletedItems, SDALoss):
    """Mixin that precedes a RecBole model ``Foo``: ``class Foo_SDA(SDA, Foo)``.

    After Foo's own ``__init__`` an :class:`EncodedItemEmbedding` replaces its item table; no code of Foo is copied. The encoder
    starts at the scale of the table that it replaces or is added to. Drawing its weights leaves the random stream of the base
    model unchanged: with ``item_encoder: identity`` and zero weights, Foo_SDA equals Foo bit for bit.

    Attributes:
        item_table: name of Foo's attribute that holds the item table. Set by the registry.
        step_items: attributes that name the fields of all items of a training step; empty where a step uses the whole table.
            Set by the registry.
        propagates: whether ``forward`` returns the embeddings of all users and of all items after a graph, whose products are the
            scores. RecBole's models that do so store both in evaluation.
        feature_record: provenance of the features, for results; None without features.
    """

    item_table = "item_embedding"
    step_items: Tuple[str, ...] = ()

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.settings = SDASettings.from_config(config)
        self.feature_record: Optional[Dict[str, Any]] = None
        self.soft_targets = None
        if self.settings.encoder_gradient == "targets" and not getattr(self, "computes_softmax", False):
            raise InputError(
                f"encoder_gradient=targets: {config['model']} with loss_type={config['loss_type']} computes its own loss; the key "
                "needs the softmax loss of this package (fast_sequences)"
            )
        base = getattr(self, self.item_table, None)
        if not isinstance(base, nn.Embedding):
            raise InputError(
                f"{config['model']}: the base model has no embedding table {self.item_table!r}; a class of your own names its "
                "item table by sda_spec = BaseModelSpec(..., item_table=...)"
            )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(
                int(config["seed"])
            )  # of the CPU only: GPU seeds differ between processes
            setattr(self, self.item_table, self._encoded_table(config, dataset, base))
        stored = ("restore_user_e", "restore_item_e")
        self.propagates = all(hasattr(self, name) for name in stored)
        self.item_caches = stored if self.propagates else ()
        self.completions = [] if self.propagates else self.items.completions
        self._add_cmsa()
        self._add_alignment(config, dataset)

    def _user_table(self) -> Optional[nn.Embedding]:
        """Return the table of users of a general recommender; None where there is none."""
        table = getattr(self, "user_embedding", None)
        return table if self.type == ModelType.GENERAL and isinstance(table, nn.Embedding) else None

    @property
    def items(self) -> EncodedItemEmbedding:
        """The encoded item embedding."""
        return getattr(self, self.item_table)

    def _encoded_table(self, config: Any, dataset: Any, base: nn.Embedding) -> EncodedItemEmbedding:
        settings, n_items = self.settings, dataset.item_num
        settings.check_id_table()
        if settings.item_encoder == "identity" and not settings.uses_content:
            return EncodedItemEmbedding(base, n_items)
        aligned, self.feature_record = load_item_features(config, dataset, settings)
        matrices = [aligned.matrices[name] for name in aligned.modalities]
        store = store_folder(self.feature_record["store"])
        content = IdContent(settings, dataset, matrices, aligned.present, store)
        self.feature_record["used"] = not content.says_nothing()
        if not self.feature_record["used"]:
            self.settings = settings.of_base()
            return EncodedItemEmbedding(base, n_items)
        spread = base.weight[1:n_items].detach().std()
        self.soft_targets, id_rows = content.soft_targets(), content.start(base, self._user_table())
        if settings.item_encoder == "identity":
            return EncodedItemEmbedding(base, n_items, id_rows=id_rows)
        self.modality_names = tuple(aligned.modalities)
        encoder = build_encoder(settings, [matrix.shape[1] for matrix in matrices], base.embedding_dim)
        embedding = EncodedItemEmbedding(
            base,
            n_items,
            encoder,
            matrices,
            aligned.present,
            add_ids=settings.id_embedding == "add",
            id_dropout=settings.id_dropout,
            id_rows=id_rows,
            fixed_negatives=settings.encoder_gradient == "targets",
        )
        with torch.no_grad():
            embedding.eval()
            _, encoded = encoder(embedding.features, embedding.present)
            encoder.scale_(float(settings.encoder_scale * spread / encoded.std().clamp(min=1e-12)))
            embedding.train()
        return embedding

    def _add_alignment(self, config: Any, dataset: Any) -> None:
        settings, dim = self.settings, self.items.embedding_dim
        if settings.alignment_weight == 0:
            return
        assert settings.alignment_run is not None  # checked by the settings
        if (Path(config["checkpoint_dir"]) / LAST.name).is_file():  # this run's checkpoint, which holds the table
            table, known = torch.zeros(dataset.item_num, dim), torch.zeros(dataset.item_num, dtype=torch.bool)
        else:
            table, known = load_item_table(settings.alignment_run, dataset, self.base_name, self.item_table, dim)
        self.alignment = CollaborativeAlignment(
            table, known, settings.alignment_temperature, settings.alignment_normalize
        )

    def _begin_step(self, interaction: Any) -> None:
        if self.step_items and not self.items.is_plain:
            self.items.encode_only(torch.cat([interaction[getattr(self, name)].flatten() for name in self.step_items]))

    # items whose rows come from content in evaluation ----------------------------------------------------------------
    def content_part(self, features: Sequence[Tensor], present: Tensor) -> Optional[Tensor]:
        """Return the encoder's rows of new items; None without an encoder, and in a model with a graph."""
        encoder = None if self.propagates else self.items.encoder
        return None if encoder is None else encoder.eval()(features, present)[1]

    def _forget_items(self) -> None:
        super()._forget_items()
        self.items.forget()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the base model does; in evaluation, with completed items where it returns all of them."""
        result = super().forward(*args, **kwargs)
        if not self.propagates:
            return result
        users, items = result
        return users, self.completed_items(items)
