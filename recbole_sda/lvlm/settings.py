"""The settings of the LVLM stage, from properties/lvlm.yaml, a preset, configuration files and arguments."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple, Union

from recbole_sda.errors import InputError, nearest
from recbole_sda.io.yaml import properties_dir, read_yaml
from recbole_sda.losses.pair_loss import MIN_TEMPERATURE
from recbole_sda.tracking.settings import OPTIONS, TRACK, check_options, check_trackers
from recbole_sda.validation import SHARE, Range, check_settings, properties_file

LARGEST_FACTOR, LARGEST_SIZE, LARGEST_COUNT = 1e6, 2**20, 10**12

CHOICES = {
    "backend": ("transformers", "sentence_transformers", "openai"),
    "request_form": ("input", "messages"),
    "dtype": ("float32", "bfloat16", "float16"),
    "quantization": ("8bit", "4bit"),
    "attention": ("sdpa", "eager", "flash_attention_2"),
    "pooling": ("mean", "last", "cls", "eos", "image"),
    "method": ("moda", "lora", "two_lora", "none"),
    "loss": ("cmsa", "infonce"),
    "schedule": ("cosine", "linear", "constant"),
    "store_dtype": ("float16", "float32"),
}
AT_LEAST_ONE = Range(1, LARGEST_COUNT, closed_high=True)
SIZE = Range(1, LARGEST_SIZE, closed_high=True)
POSITIVE = Range(0, LARGEST_FACTOR, closed_low=False, closed_high=True)
NOT_NEGATIVE = Range(0, LARGEST_FACTOR, closed_high=True)
RANGES = {
    "threads": Range(1, 1024, closed_high=True),
    "min_pixels": AT_LEAST_ONE,
    "max_pixels": AT_LEAST_ONE,
    "max_tokens": Range(8, LARGEST_SIZE, closed_high=True),
    "workers": Range(0, 1024, closed_high=True),
    "truncate_dim": SIZE,
    "rank": Range(1, 2**16, closed_high=True),
    "experts": SIZE,
    "alpha": POSITIVE,
    "dropout": SHARE,
    "temperature": Range(MIN_TEMPERATURE, LARGEST_FACTOR, closed_high=True),
    "teacher_scale": POSITIVE,
    "loss_dim": SIZE,
    "bought_together_weight": NOT_NEGATIVE,
    "batch_size": Range(2, LARGEST_SIZE, closed_high=True),
    "text_groups": Range(1, LARGEST_SIZE, closed_high=True),
    "steps": AT_LEAST_ONE,
    "learning_rate": Range(0, closed_low=False),
    "warmup_share": SHARE,
    "weight_decay": NOT_NEGATIVE,
    "clip_norm": POSITIVE,
    "held_out": Range(0, 0.5, closed_low=False, closed_high=True),
    "eval_every": AT_LEAST_ONE,
    "patience": AT_LEAST_ONE,
    "token_budget": AT_LEAST_ONE,
    "shard_items": AT_LEAST_ONE,
    "request_items": AT_LEAST_ONE,
    "connections": Range(1, 256, closed_high=True),
    "timeout": POSITIVE,
    "deadline": NOT_NEGATIVE,
}


@dataclass(frozen=True)
class LVLMSettings:
    """The keys of ``properties/lvlm.yaml``, with types and ranges checked; that file explains each of them."""

    backbone: Optional[str]
    revision: Optional[str]
    dtype: str
    quantization: Optional[str]
    attention: Optional[str]
    device: Optional[str]
    threads: Optional[int]
    items: Optional[str]
    text_prompt: str
    image_prompt: Optional[str]
    instruction: Optional[str]
    field_words: Dict[str, int]
    min_pixels: int
    max_pixels: int
    max_tokens: int
    workers: int
    embedder: Optional[str]
    pooling: Optional[str]
    truncate_dim: Optional[int]
    l2: Optional[bool]
    method: str
    rank: int
    experts: int
    alpha: float
    dropout: float
    loss: str
    temperature: float
    learnable: bool
    teacher_scale: Optional[float]
    center: bool
    normalize: bool
    detach_teacher: bool
    loss_dim: Optional[int]
    bought_together_weight: float
    bought_together_mask: bool
    interactions: Optional[str]
    batch_size: int
    text_groups: int
    steps: int
    learning_rate: float
    warmup_share: float
    schedule: str
    weight_decay: float
    clip_norm: Optional[float]
    gradient_checkpointing: bool
    seed: int
    held_out: float
    eval_every: int
    patience: Optional[int]
    track: Tuple[str, ...]
    track_options: Dict[str, str]
    adapter: Optional[str]
    merge: bool
    token_budget: int
    shard_items: int
    store_dtype: str
    backend: str
    url: Optional[str]
    key_variable: Optional[str]
    request_form: Optional[str]
    request_items: int
    connections: int
    timeout: float
    deadline: float

    def plain(self) -> Dict[str, Any]:
        """Return all values as plain data."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def read_settings(
    config_files: Sequence[Union[str, Path]] = (),
    overrides: Optional[Dict[str, Any]] = None,
    base: Optional[Dict[str, Any]] = None,
) -> LVLMSettings:
    """Return the settings from layers; a later layer wins.

    The layers are properties/lvlm.yaml, ``base``, the preset, ``config_files`` and ``overrides``.

    Args:
        config_files: YAML files.
        overrides: further keys; ``preset`` names a file of properties/lvlm/.
        base: settings of an earlier stage, from :meth:`LVLMSettings.plain`.

    Raises:
        InputError: a key is unknown, a value has the wrong type or is out of range, or two values contradict each other.
    """
    values = read_yaml(properties_dir() / "lvlm.yaml")
    keys = set(values)
    layers = [(str(path), read_yaml(path)) for path in config_files] + [("arguments", dict(overrides or {}))]
    preset = None
    for _, layer in layers:
        preset = layer.pop("preset", preset)
    if preset is not None:
        layers.insert(0, (f"preset {preset}", read_yaml(properties_file("preset", str(preset), "lvlm"))))
    layers.insert(0, ("earlier stage", base or {}))
    for source, layer in layers:
        for key in layer:
            if key not in keys:
                raise InputError(f"{source}: {key!r} is not a key of the LVLM stage.{nearest(key, keys)}")
        values.update(layer)
    values.update(track=check_trackers(values[TRACK]), track_options=check_options(values[OPTIONS]))
    settings = check_settings(LVLMSettings, values, RANGES, CHOICES)
    _check_together(settings)
    return settings


def _check_together(settings: LVLMSettings) -> None:
    if settings.min_pixels > settings.max_pixels:
        raise InputError(f"min_pixels={settings.min_pixels} is above max_pixels={settings.max_pixels}")
    if settings.backend != "transformers":
        for key in ("adapter", "quantization", "pooling"):
            if getattr(settings, key) is not None:
                raise InputError(
                    f"{key}={getattr(settings, key)} needs backend=transformers; with backend={settings.backend} the model decides"
                )
    if settings.method == "moda" and settings.rank % settings.experts:
        raise InputError(f"rank={settings.rank} must be a multiple of experts={settings.experts}")
    if settings.bought_together_mask and settings.bought_together_weight == 0:
        raise InputError("bought_together_mask=True needs bought_together_weight above 0, which also forms the batches")
    if settings.bought_together_weight > 0 and not settings.interactions:
        raise InputError(
            f"bought_together_weight={settings.bought_together_weight:g} needs interactions, a RecBole .inter file"
        )
