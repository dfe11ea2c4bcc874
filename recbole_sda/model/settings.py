"""The SDA keys of a configuration, checked: the only place where models read them."""

from dataclasses import dataclass, replace
from typing import Any, Dict, Optional, Self, Tuple, Union

from recbole_sda.errors import InputError
from recbole_sda.features.transforms import parse_steps
from recbole_sda.graphs.knn import SEARCHES
from recbole_sda.layers.fusion import FUSIONS
from recbole_sda.losses.pair_loss import MIN_TEMPERATURE
from recbole_sda.validation import SHARE, Range, check_settings

LARGEST_FACTOR = 1e6  # of weights, scales and counts: beyond it, float32 has no digits left for what they are added to

CHOICES = {
    "item_encoder": ("moda", "linear", "identity"),
    "id_embedding": ("add", "none"),
    "fusion": tuple(FUSIONS),
    "cmsa_teacher": ("embeddings", "features", "identity"),
    "encoder_gradient": ("all", "targets"),
    "id_start": ("random", "features", "both"),
    "id_graph": ("content", "cooccurrence", "both"),
    "neighbour_search": SEARCHES,
}
BASE_VALUES: Dict[str, Any] = {  # with which an SDA version is its base model
    "item_encoder": "identity", "encoder_gradient": "all", "id_start": "random", "id_bound": None, "id_smoothing": 0.0,
    "id_codes": None, "id_shrinkage": 0.0, "soft_targets": 0.0, "cmsa_weight": 0.0, "alignment_weight": 0.0,
}  # fmt: skip
POSITIVE = Range(0, LARGEST_FACTOR, closed_low=False, closed_high=True)
NOT_NEGATIVE = Range(0, LARGEST_FACTOR, closed_high=True)
AT_LEAST_ONE = Range(1, 2**20, closed_high=True)  # sizes
AT_LEAST_TWO = Range(2, 2**20, closed_high=True)
TEMPERATURE = Range(MIN_TEMPERATURE, LARGEST_FACTOR, closed_high=True)
RANGES = {
    "cold_item_scale": POSITIVE,
    "min_content_lift": NOT_NEGATIVE,
    "id_shrinkage": NOT_NEGATIVE,
    "id_dropout": SHARE,
    "id_start_scale": POSITIVE,
    "id_bound": POSITIVE,
    "id_bound_full": POSITIVE,
    "id_smoothing": NOT_NEGATIVE,
    "id_smoothing_kappa": POSITIVE,
    "id_neighbours": AT_LEAST_ONE,
    "id_codes": AT_LEAST_ONE,
    "soft_targets": SHARE,
    "soft_targets_neighbours": AT_LEAST_ONE,
    "soft_targets_scale": POSITIVE,
    "soft_targets_kappa": POSITIVE,
    "soft_targets_epochs": POSITIVE,
    "feature_dropout": SHARE,
    "modality_dropout": SHARE,
    "encoder_scale": POSITIVE,
    "encoder_lr_factor": POSITIVE,
    "encoder_hidden_size": AT_LEAST_ONE,
    "adapted_size": AT_LEAST_ONE,
    "moda_rank": Range(0, 2**16, closed_high=True),
    "moda_experts": AT_LEAST_ONE,
    "moda_alpha": POSITIVE,
    "moda_dropout": SHARE,
    "cmsa_weight": NOT_NEGATIVE,
    "cmsa_temperature": TEMPERATURE,
    "cmsa_teacher_scale": POSITIVE,
    "cmsa_max_items": AT_LEAST_TWO,
    "alignment_weight": NOT_NEGATIVE,
    "alignment_temperature": TEMPERATURE,
    "alignment_max_items": AT_LEAST_TWO,
}


@dataclass(frozen=True)
class FeatureSettings:
    """What ``properties/features.yaml`` explains, with types checked."""

    features: Optional[str]
    modalities: Optional[Tuple[str, ...]]
    feature_views: Tuple[str, ...]
    shuffle_features: bool
    cold_item_scale: float

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Read the keys of a RecBole configuration.

        Raises:
            InputError: a value has the wrong type or is out of range.
        """
        settings = check_settings(cls, config, RANGES, CHOICES)
        parse_steps(settings.feature_views)
        return settings


@dataclass(frozen=True)
class SDASettings(FeatureSettings):
    """What ``properties/sda.yaml`` explains beside the features, with types and ranges checked."""

    min_content_lift: float
    base_fallback: bool
    item_encoder: str
    id_embedding: str
    id_shrinkage: float
    id_dropout: float
    fusion: str
    feature_dropout: float
    modality_dropout: float
    encoder_scale: float
    encoder_lr_factor: float
    encoder_gradient: str
    encoder_hidden_size: int
    adapted_size: int
    moda_rank: int
    moda_experts: int
    moda_alpha: float
    moda_dropout: float
    id_start: str
    id_start_scale: Optional[float]
    id_bound: Optional[float]
    id_bound_full: Optional[float]
    id_smoothing: float
    id_smoothing_kappa: Optional[float]
    id_graph: str
    id_neighbours: int
    neighbour_search: str
    id_codes: Union[Tuple[int, ...], str, None]
    soft_targets: float
    soft_targets_neighbours: int
    soft_targets_scale: float
    soft_targets_kappa: Optional[float]
    soft_targets_epochs: Optional[float]
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

    @property
    def uses_content(self) -> bool:
        """Whether counts or content take part in the id table or in the targets."""
        return self.changes_ids or self.soft_targets > 0

    @property
    def changes_ids(self) -> bool:
        """Whether counts or content take part in the id table."""
        ways = (self.id_start != "random", self.id_smoothing > 0, self.id_codes is not None, self.id_shrinkage > 0)
        return any(ways)

    @classmethod
    def from_config(cls, config: Any) -> Self:
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
        if settings.id_bound is not None and settings.id_start != "features":
            raise InputError(f"id_bound={settings.id_bound} needs id_start=features; it bounds the difference to them")
        if settings.alignment_weight > 0 and not settings.alignment_run:
            raise InputError("alignment_weight above 0 needs alignment_run, the run folder of the base model")
        return settings

    def of_base(self) -> Self:
        """Return the settings with every use of content off: those of the base model."""
        return replace(self, **BASE_VALUES)

    def check_id_table(self) -> None:
        """Refuse content in the id table of a model that has none with ``id_embedding: none``."""
        if self.id_embedding == "none" and self.item_encoder != "identity":
            for key, off in (("id_start", "random"), ("id_smoothing", 0.0), ("id_codes", None)):
                if getattr(self, key) != off:
                    raise InputError(f"{key}={getattr(self, key)} needs an id table; id_embedding=none has none")
