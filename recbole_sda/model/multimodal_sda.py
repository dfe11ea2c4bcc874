"""The SDA versions of the multimodal recommenders: their features pass MoDA before any use, and CMSA joins the loss."""

import torch

from recbole_sda.errors import InputError
from recbole_sda.io.yaml import properties_dir, read_yaml
from recbole_sda.layers.item_encoder import MoDAItemEncoder
from recbole_sda.layers.modality_features import AdaptedFeatures, ModalityFeatures
from recbole_sda.model.sda import build_encoder
from recbole_sda.model.sda_loss import SDALoss
from recbole_sda.model.settings import SDASettings

# Keys of properties/sda.yaml that speak of an item table made of features, which these models do not have.
NOT_HERE = ("id_embedding", "id_shrinkage", "id_dropout", "fusion", "modality_dropout", "alignment_weight")


def _refuse(config) -> None:
    """Raise an InputError for a key without a use here that has another value than its default or the preset's."""
    folder, preset = properties_dir(), config["preset"]
    files = [folder / "sda.yaml", *([folder / f"preset/{preset}.yaml"] if preset else [])]
    usual = [read_yaml(path) for path in files]
    for key in NOT_HERE:
        if config[key] not in [values[key] for values in usual if key in values]:
            raise InputError(
                f"{key}={config[key]!r}: {config['model']} has no use for it; it adapts features, not an item table"
            )


class MultimodalSDA(SDALoss):
    """Mixin in front of a multimodal recommender ``Foo``: ``class Foo_SDA(MultimodalSDA, Foo)``.

    Foo asks its module ``item_features`` for features; here that module is an :class:`AdaptedFeatures`: per modality
    ``z_m = W x_m + b`` plus the gated experts, so that what Foo builds on features starts from z_m. As in a language model,
    adaptation starts from nothing: W is the identity, on the widest modality's width (a narrower one is followed by zeros),
    and the experts are zero. Features wider than ``adapted_size`` are mapped to it by orthonormal rows. Graphs of similar
    items are built once, on the features as they came. Features start at ``encoder_scale`` times their mean length, and
    drawing the encoder leaves Foo's random stream untouched: with ``item_encoder: identity`` and no CMSA, Foo_SDA is Foo bit
    for bit.

    Raises:
        InputError: a key is given that these models have no use for.
    """

    def __init__(self, config, dataset):
        _refuse(config)
        super().__init__(config, dataset)
        self._add_cmsa()

    @property
    def items(self) -> ModalityFeatures:
        """The module that encodes features."""
        return self.item_features

    def build_features(self, config, dataset) -> ModalityFeatures:
        """Return the features of the base model behind the item encoder that the settings name."""
        source = super().build_features(config, dataset)
        self.settings = SDASettings.from_config(config)
        if self.settings.item_encoder == "identity":
            return source
        width = min(max(source.dims), self.settings.adapted_size)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(config["seed"]))  # the CPU's alone; processes differ in their GPUs'
            encoder = build_encoder(self.settings, source.dims, width)
            if isinstance(encoder, MoDAItemEncoder):
                encoder.start_as_identity()
        with torch.no_grad():
            encoder.eval()
            mapped = encoder.project(source.frozen(), source.present)
            length = torch.cat([x[has].norm(dim=1) for x, has in zip(source.frozen(), source.present)]).mean()
            start = torch.cat([z[has].norm(dim=1) for z, has in zip(mapped, source.present)]).mean()
            encoder.scale_(float(self.settings.encoder_scale * length / start.clamp(min=1e-12)))
            encoder.train()
        return AdaptedFeatures(source, encoder, width)
