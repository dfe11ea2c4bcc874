"""The SDA versions of the multimodal recommenders: features pass an item encoder before any use, and CMSA joins the loss."""

from contextlib import ExitStack, contextmanager
from typing import Any, Iterator

import torch

from recbole_sda.errors import InputError
from recbole_sda.features.store_choice import store_folder
from recbole_sda.io.yaml import properties_dir, read_yaml
from recbole_sda.layers.item_embedding import EncodedItemEmbedding
from recbole_sda.layers.item_encoder import ItemEncoder, MoDAItemEncoder
from recbole_sda.layers.modality_features import AdaptedFeatures, ModalityFeatures
from recbole_sda.model.id_content import IdContent
from recbole_sda.model.mixin_base import FeatureRecommender
from recbole_sda.model.sda import build_encoder
from recbole_sda.model.sda_loss import SDALoss
from recbole_sda.model.settings import SDASettings

# Keys of properties/sda.yaml that concern an item table made of features, which these models do not have.
ITEM_TABLE_KEYS = (
    "id_embedding",
    "id_dropout",
    "fusion",
    "modality_dropout",
    "alignment_weight",
    "encoder_gradient",
)


def _check_unused_keys(config: Any) -> None:
    """Raise an InputError for a key of an item table whose value is neither its default nor the preset's."""
    folder, preset = properties_dir(), config["preset"]
    files = [folder / "sda.yaml", *([folder / f"preset/{preset}.yaml"] if preset else [])]
    defaults = [read_yaml(path) for path in files]
    for key in ITEM_TABLE_KEYS:
        if config[key] not in [values[key] for values in defaults if key in values]:
            raise InputError(
                f"{key}={config[key]!r}: {config['model']} does not use this key; it adapts features, not an item table"
            )


class MultimodalSDA(SDALoss, FeatureRecommender):
    """Mixin that precedes a multimodal recommender ``Foo``: ``class Foo_SDA(MultimodalSDA, Foo)``.

    Foo takes its features from its module ``item_features``, here an :class:`AdaptedFeatures`: per modality
    ``z_m = W x_m + b`` plus the gated experts. What Foo builds on features starts from z_m.

    Adaptation starts as no change, as in a language model. W is the identity on the width of the widest modality (a narrower one
    is followed by zeros), and the experts are zero. Features wider than ``adapted_size`` are mapped to it by orthonormal rows.
    Features start at ``encoder_scale`` times their mean length. Graphs of similar items are built once, on the frozen features.

    Drawing the encoder leaves Foo's random stream unchanged: with ``item_encoder: identity`` and no CMSA, Foo_SDA equals Foo
    bit for bit.

    Raises:
        InputError: a key of :data:`ITEM_TABLE_KEYS` has a value that is neither its default nor the preset's.
    """

    def __init__(self, config: Any, dataset: Any):
        _check_unused_keys(config)
        super().__init__(config, dataset)
        self._add_cmsa()
        self._add_id_content(dataset)

    def _add_id_content(self, dataset: Any) -> None:
        self.soft_targets = None
        if not self.settings.uses_content:
            return
        content = self._id_content(dataset, self.item_features)
        self.soft_targets, id_rows = content.soft_targets(), content.start(self.item_embedding, self.user_embedding)
        if id_rows is not None:
            self.item_embedding = EncodedItemEmbedding(self.item_embedding, self.n_items, id_rows=id_rows)

    def _id_content(self, dataset: Any, features: ModalityFeatures) -> IdContent:
        store = store_folder(self.feature_record["store"])
        return IdContent(self.settings, dataset, features.frozen(), features.present, store)

    @contextmanager
    def _step(self) -> Iterator[None]:
        with ExitStack() as steps:
            for module in (self.items, self.item_embedding):
                if isinstance(module, (ModalityFeatures, EncodedItemEmbedding)):
                    steps.enter_context(module.step())
            yield

    @property
    def items(self) -> ModalityFeatures:
        """The module that encodes features."""
        return self.item_features

    def build_features(self, config: Any, dataset: Any) -> ModalityFeatures:
        """Return the base model's features, followed by the item encoder unless that is ``identity``."""
        source = super().build_features(config, dataset)
        self.settings = SDASettings.from_config(config)
        if self.settings.item_encoder != "identity" or self.settings.uses_content:
            content = self._id_content(dataset, source)
            self.feature_record["used"] = not content.says_nothing()
            if not self.feature_record["used"]:
                self.settings = self.settings.of_base()
        if self.settings.item_encoder == "identity":
            return source
        width = min(max(source.dims), self.settings.adapted_size)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(
                int(config["seed"])
            )  # of the CPU only: GPU seeds differ between processes
            encoder = build_encoder(self.settings, source.dims, width)
            if isinstance(encoder, MoDAItemEncoder):
                encoder.start_as_identity()
        _scale_to_features(encoder, source, self.settings.encoder_scale)
        return AdaptedFeatures(source, encoder, width)


@torch.no_grad()
def _scale_to_features(encoder: ItemEncoder, source: ModalityFeatures, scale: float) -> None:
    """Scale the encoder so that the mean length of its modality embeddings is ``scale`` times that of the features."""
    encoder.eval()
    features, present = source.frozen(), source.present
    mapped = encoder.project(features, present)
    feature_length = torch.cat([x[mask].norm(dim=1) for x, mask in zip(features, present)]).mean()
    mapped_length = torch.cat([z[mask].norm(dim=1) for z, mask in zip(mapped, present)]).mean()
    encoder.scale_(float(scale * feature_length / mapped_length.clamp(min=1e-12)))
    encoder.train()
