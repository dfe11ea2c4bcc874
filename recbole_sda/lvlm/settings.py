"""The keys of the LVLM stage, checked: properties/lvlm.yaml, a preset, configuration files, the command line."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Dict, Optional, Sequence

from recbole_sda.errors import InputError, nearest
from recbole_sda.io.yaml import properties_dir, read_yaml
from recbole_sda.losses.cmsa import MIN_TEMPERATURE

CHOICES = {
    "dtype": ("float32", "bfloat16", "float16"),
    "quantization": ("8bit", "4bit"),
    "pooling": ("mean", "last", "eos", "image"),
    "method": ("moda", "lora", "two_lora", "none"),
    "loss": ("cmsa", "infonce"),
    "schedule": ("cosine", "linear", "constant"),
    "store_dtype": ("float16", "float32"),
}
# key: (lowest, lowest is allowed, highest, highest is allowed)
RANGES = {
    "threads": (1, True, None, True),
    "min_pixels": (1, True, None, True),
    "max_pixels": (1, True, None, True),
    "max_tokens": (8, True, None, True),
    "workers": (0, True, None, True),
    "truncate_dim": (1, True, None, True),
    "rank": (1, True, None, True),
    "experts": (1, True, None, True),
    "alpha": (0, False, None, True),
    "dropout": (0, True, 1, False),
    "temperature": (MIN_TEMPERATURE, True, None, True),
    "teacher_scale": (0, False, None, True),
    "loss_dim": (1, True, None, True),
    "bought_together_weight": (0, True, None, True),
    "batch_size": (2, True, None, True),
    "steps": (1, True, None, True),
    "learning_rate": (0, False, None, True),
    "warmup_share": (0, True, 1, False),
    "weight_decay": (0, True, None, True),
    "clip_norm": (0, False, None, True),
    "held_out": (0, False, 0.5, True),
    "eval_every": (1, True, None, True),
    "patience": (1, True, None, True),
    "token_budget": (1, True, None, True),
    "shard_items": (1, True, None, True),
}


@dataclass(frozen=True)
class LVLMSettings:
    """What ``properties/lvlm.yaml`` explains, with types and ranges checked."""

    backbone: Optional[str]
    revision: Optional[str]
    dtype: str
    quantization: Optional[str]
    device: Optional[str]
    threads: Optional[int]
    items: Optional[str]
    text_prompt: str
    image_prompt: str
    field_words: dict
    min_pixels: int
    max_pixels: int
    max_tokens: int
    workers: int
    pooling: str
    truncate_dim: Optional[int]
    l2: bool
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
    interactions: Optional[str]
    batch_size: int
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
    adapter: Optional[str]
    merge: bool
    token_budget: int
    shard_items: int
    store_dtype: str

    def plain(self) -> Dict[str, Any]:
        """Return all values as plain data."""
        return asdict(self)


def read_settings(
    config_files: Sequence[str] = (), overrides: Optional[Dict[str, Any]] = None, base: Optional[Dict[str, Any]] = None
) -> LVLMSettings:
    """Return the settings; later wins: properties/lvlm.yaml, ``base``, the preset, the files, the overrides.

    Args:
        config_files: YAML files.
        overrides: further keys; ``preset`` names a file of properties/lvlm/.
        base: values of an earlier stage, from :meth:`LVLMSettings.plain`.

    Raises:
        InputError: an unknown key, a wrong type, a value out of range, or values that do not go together.
    """
    values = read_yaml(properties_dir() / "lvlm.yaml")
    known = set(values)
    layers = [(str(path), read_yaml(path)) for path in config_files] + [("command line", dict(overrides or {}))]
    preset = None
    for _, layer in layers:
        preset = layer.pop("preset", preset)
    if preset is not None:
        layers.insert(0, (f"preset {preset}", _preset(str(preset))))
    layers.insert(0, ("earlier stage", base or {}))
    for source, layer in layers:
        for key in layer:
            if key not in known:
                raise InputError(f"{source}: {key!r} is not a key of the LVLM stage.{nearest(key, known)}")
        values.update(layer)
    settings = LVLMSettings(**{f.name: _checked(f.name, str(f.type), values[f.name]) for f in fields(LVLMSettings)})
    _check_together(settings)
    return settings


def _preset(name: str) -> Dict[str, Any]:
    known = sorted(path.stem for path in (properties_dir() / "lvlm").glob("*.yaml"))
    if name not in known:
        raise InputError(f"preset={name!r}: there is {', '.join(known)}.{nearest(name, known)}")
    return read_yaml(properties_dir() / f"lvlm/{name}.yaml")


def _check_together(settings: LVLMSettings) -> None:
    if settings.min_pixels > settings.max_pixels:
        raise InputError(f"min_pixels={settings.min_pixels} is above max_pixels={settings.max_pixels}")
    if settings.method == "moda" and settings.rank % settings.experts:
        raise InputError(f"rank={settings.rank} must be a multiple of experts={settings.experts}")
    if settings.bought_together_weight > 0 and not settings.interactions:
        raise InputError("bought_together_weight above 0 needs interactions, a RecBole .inter file")


def _checked(key: str, kind: str, value: Any) -> Any:
    if value is None:
        if "Optional" in kind:
            return None
        raise InputError(f"{key} is empty: a value is needed")
    if key in CHOICES and value not in CHOICES[key]:
        raise InputError(f"{key}={value!r}: allowed are {', '.join(CHOICES[key])}.{nearest(str(value), CHOICES[key])}")
    if "bool" in kind and not isinstance(value, bool):
        raise InputError(f"{key}={value!r}: expected true or false")
    if "dict" in kind and not (isinstance(value, dict) and all(isinstance(n, int) and n > 0 for n in value.values())):
        raise InputError(f"{key}={value!r}: expected field: words, as in {{description: 100}}")
    if "str" in kind and isinstance(value, (dict, list)):
        raise InputError(f"{key}={value!r}: expected a text; in a YAML file, put it in quotes")
    if "str" in kind and not isinstance(value, str):
        return str(value)
    if "int" in kind or "float" in kind:
        return _number(key, value, whole="int" in kind)
    return value


def _number(key: str, value: Any, whole: bool) -> Any:
    low, with_low, high, with_high = RANGES.get(key, (None, True, None, True))
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
    good = good and (not whole or float(value).is_integer())
    if good and low is not None:
        good = value > low or (with_low and value == low)
    if good and high is not None:
        good = value < high or (with_high and value == high)
    if not good:
        what = "a whole number" if whole else "a number"
        lower = "" if low is None else f" {'at least' if with_low else 'above'} {low}"
        upper = "" if high is None else f" and {'at most' if with_high else 'below'} {high}"
        raise InputError(f"{key}={value!r}: expected {what}{lower}{upper}")
    return int(value) if whole else float(value)
