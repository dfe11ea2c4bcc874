"""The SDA keys of a configuration, checked: the only place where models read them."""

from dataclasses import dataclass, fields
from typing import Any, Optional, Tuple

from recbole_sda.errors import InputError, nearest
from recbole_sda.features.transforms import parse_steps
from recbole_sda.layers.fusion import FUSIONS
from recbole_sda.losses.cmsa import MIN_TEMPERATURE
from recbole_sda.validation import checked_number

CHOICES = {
    "item_encoder": ("moda", "linear", "identity"),
    "id_embedding": ("add", "none"),
    "fusion": tuple(FUSIONS),
    "cmsa_teacher": ("embeddings", "features", "identity"),
}
# key: (lowest, lowest is allowed, below this)
RANGES = {
    "id_shrinkage": (0, True, None),
    "id_dropout": (0, True, 1),
    "feature_dropout": (0, True, 1),
    "modality_dropout": (0, True, 1),
    "encoder_scale": (0, False, None),
    "encoder_lr_factor": (0, False, None),
    "encoder_hidden_size": (1, True, None),
    "adapted_size": (1, True, None),
    "moda_rank": (0, True, None),
    "moda_experts": (1, True, None),
    "moda_alpha": (0, False, None),
    "moda_dropout": (0, True, 1),
    "cmsa_weight": (0, True, None),
    "cmsa_temperature": (MIN_TEMPERATURE, True, None),
    "cmsa_teacher_scale": (0, False, None),
    "cmsa_max_items": (2, True, None),
    "alignment_weight": (0, True, None),
    "alignment_temperature": (MIN_TEMPERATURE, True, None),
    "alignment_max_items": (2, True, None),
}


@dataclass(frozen=True)
class FeatureSettings:
    """What ``properties/features.yaml`` explains, with types checked."""

    features: Optional[str]
    modalities: Optional[Tuple[str, ...]]
    feature_views: Tuple[str, ...]
    shuffle_features: bool

    @classmethod
    def from_config(cls, config) -> "FeatureSettings":
        """Read the keys of a RecBole configuration.

        Raises:
            InputError: a value has the wrong type or is out of range.
        """
        settings = cls(**{f.name: _checked(f.name, f.type, config[f.name]) for f in fields(cls)})
        parse_steps(settings.feature_views)
        return settings


@dataclass(frozen=True)
class SDASettings(FeatureSettings):
    """What ``properties/sda.yaml`` explains beside the features, with types and ranges checked."""

    item_encoder: str
    id_embedding: str
    id_shrinkage: float
    id_dropout: float
    fusion: str
    feature_dropout: float
    modality_dropout: float
    encoder_scale: float
    encoder_lr_factor: float
    encoder_hidden_size: int
    adapted_size: int
    moda_rank: int
    moda_experts: int
    moda_alpha: float
    moda_dropout: float
    cmsa_weight: float
    cmsa_temperature: float
    cmsa_learnable: bool
    cmsa_teacher: str
    cmsa_teacher_scale: Optional[float]
    cmsa_normalize: bool
    cmsa_detach_teacher: bool
    cmsa_max_items: int
    alignment_weight: float
    alignment_run: Optional[str]
    alignment_temperature: float
    alignment_normalize: bool
    alignment_max_items: int

    @classmethod
    def from_config(cls, config) -> "SDASettings":
        """Read the keys of a RecBole configuration.

        Raises:
            InputError: a value has the wrong type, is out of range, or does not go with another one.
        """
        settings = super().from_config(config)
        if settings.moda_rank % settings.moda_experts:
            raise InputError(
                f"moda_rank={settings.moda_rank} must be a multiple of moda_experts={settings.moda_experts}, or 0"
            )
        if settings.item_encoder == "identity":
            for key in ("cmsa_weight", "alignment_weight"):
                if getattr(settings, key) > 0:
                    raise InputError(
                        f"{key}={getattr(settings, key)} needs encoded features; item_encoder=identity has none"
                    )
        if settings.alignment_weight > 0 and not settings.alignment_run:
            raise InputError("alignment_weight above 0 needs alignment_run, the run folder of the base model")
        return settings


def _checked(key: str, kind: Any, value: Any) -> Any:
    if value is None and str(kind).startswith("typing.Optional"):
        return None
    if key in CHOICES and value not in CHOICES[key]:
        raise InputError(f"{key}={value!r}: allowed are {', '.join(CHOICES[key])}.{nearest(str(value), CHOICES[key])}")
    if kind is bool and not isinstance(value, bool):
        raise InputError(f"{key}={value!r}: expected true or false")
    if "Tuple" in str(kind):
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{key}={value!r}: expected a list")
        return tuple(str(part) for part in value)
    if key in RANGES:
        return checked_number(key, value, *RANGES[key], whole=kind is int)
    return value
