"""Adapters on a backbone: MoDA, one LoRA for both modalities, or one LoRA for each; attached, passed through, saved."""

import warnings
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import safe_open
from torch import nn

from recbole_sda.errors import InputError
from recbole_sda.features.store import sha256_of
from recbole_sda.io.yaml import read_yaml
from recbole_sda.lvlm.moda import MoDAConfig, MoDALinear
from recbole_sda.lvlm.modality_context import current_modality, modality
from recbole_sda.lvlm.settings import LVLMSettings

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
ADAPTER, RECORD = "adapter", "adapt.yaml"  # in a folder of adaptation
NAMES = ("image", "text")  # of the two adapters of two_lora, in the order of the modalities


def attach(model: nn.Module, targets: Sequence[str], settings: LVLMSettings, n_modalities: int = 2) -> PeftModel:
    """Put a new, trainable adapter on a frozen model; it starts as no change.

    Args:
        model: the backbone's model.
        targets: full names of its linear layers to adapt.
        settings: method, rank, experts, alpha, dropout. ``two_lora`` has a LoRA of the full rank for each modality, so
            twice the weights of the other two methods.
        n_modalities: of MoDA's gates.

    Returns:
        The wrapped model, whose adapter weights are float32 whatever the model's are.
    """
    s = settings
    if s.method == "moda":
        config: Any = MoDAConfig(
            r=s.rank, experts=s.experts, alpha=s.alpha, dropout=s.dropout, n_modalities=n_modalities
        )
    else:
        config = LoraConfig(r=s.rank, lora_alpha=s.alpha, lora_dropout=s.dropout)
    config.target_modules = set(targets)
    with _without_hints():
        adapted = _wrap(model, config, s.method)
    if s.gradient_checkpointing:
        checkpoint(adapted)
    return adapted


@contextmanager
def _without_hints() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by a name that is going away
        yield


def _wrap(model: nn.Module, config: Any, method: str) -> PeftModel:
    if method != "two_lora":
        return get_peft_model(model, config)
    adapted = get_peft_model(model, config, adapter_name=NAMES[0])
    adapted.add_adapter(NAMES[1], config)
    for name, weight in adapted.named_parameters():
        weight.requires_grad_("lora_" in name)
    return adapted


def checkpoint(adapted: PeftModel) -> None:
    """Recompute the decoder's activations in the backward pass, each under the modality of its forward pass."""
    arguments = {"use_reentrant": False, "context_fn": partial(_same_pass, adapted)}
    model = adapted.get_base_model()
    if hasattr(model, "activation_checkpointing_enable"):  # the name from transformers 5.2x on
        model.activation_checkpointing_enable(arguments)
    else:
        model.gradient_checkpointing_enable(arguments)


def _same_pass(adapted: PeftModel):
    return nullcontext(), adapter_pass(adapted, current_modality())


@contextmanager
def adapter_pass(adapted: PeftModel, m: int) -> Iterator[None]:
    """Inside, passes are of modality number ``m``, through its gates or its own LoRA."""
    with modality(m):
        if method_of(adapted) == "two_lora":
            activate(adapted, NAMES[m])
        yield


def activate(adapted: PeftModel, name: str) -> None:
    """Use one of several adapters, without PEFT's switching off of the gradients of the others."""
    for layer in _layers(adapted):
        layer._active_adapter = [name]


def _layers(adapted: PeftModel) -> List[BaseTunerLayer]:
    found = adapted.__dict__.get("_sda_layers")
    if found is None:
        found = adapted.__dict__["_sda_layers"] = [m for m in adapted.modules() if isinstance(m, BaseTunerLayer)]
    return found


def method_of(adapted: PeftModel) -> str:
    """Return ``moda``, ``lora`` or ``two_lora``."""
    if set(NAMES) <= set(adapted.peft_config):
        return "two_lora"
    return "moda" if str(next(iter(adapted.peft_config.values())).peft_type.value) == "MODA" else "lora"


def gates(adapted: PeftModel) -> Dict[str, List[List[float]]]:
    """Return the gate of each adapted layer, name -> modality -> expert; empty without MoDA."""
    found = {}
    for name, module in adapted.get_base_model().named_modules():
        if isinstance(module, MoDALinear):
            found[name] = module.gate(module.active_adapters[0]).detach().float().tolist()
    return found


@contextmanager
def merged(adapted: PeftModel, m: int) -> Iterator[None]:
    """Inside, the weights hold the map of modality ``m``, and the model costs what the bare one costs.

    The weights are put back bit by bit from copies in main memory.

    Raises:
        TypeError: a layer is quantised.
    """
    weights = [layer.get_base_layer().weight for layer in _layers(adapted)]
    originals = [weight.data.to("cpu", copy=True) for weight in weights]
    with adapter_pass(adapted, m), torch.no_grad():
        adapted.merge_adapter()
    try:
        yield
    finally:
        adapted.unmerge_adapter()
        for weight, original in zip(weights, originals):
            weight.data.copy_(original)


def save(adapted: PeftModel, folder) -> None:
    """Write the adapter in PEFT's format; two LoRAs into the folders ``image`` and ``text``."""
    adapted.save_pretrained(str(folder))


def load(model: nn.Module, folder, trainable: bool = False) -> PeftModel:
    """Put a saved adapter on a model.

    Raises:
        InputError: the folder holds no adapter, or one of a model with other layers.
    """
    (name, first), *others = parts_of(folder_of(folder))
    try:
        with _without_hints():
            adapted = PeftModel.from_pretrained(model, str(first), name or "default", is_trainable=trainable)
            for name, part in others:
                adapted.load_adapter(str(part), name, is_trainable=trainable)
        for name, part in [(name or "default", first), *others]:
            _check_tensors(adapted, name, part)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"adapter={folder} does not fit this backbone: {reason}") from None
    return adapted


def _check_tensors(adapted: PeftModel, name: str, part: Path) -> None:
    """Raise a ValueError where a saved adapter has tensors that the model does not take, or lacks some: PEFT passes over both."""
    with safe_open(part / WEIGHTS, framework="pt") as file:
        saved = set(file.keys())
    differing = saved ^ set(get_peft_model_state_dict(adapted, adapter_name=name))
    if differing:
        raise ValueError(f"{len(differing)} tensors are in one of the two alone, among them {min(differing)}")


def folder_of(path) -> Path:
    """Return the folder of an adapter: the path itself, or ``adapter`` in a folder of adaptation.

    Raises:
        InputError: it is neither.
    """
    for folder in (Path(path), Path(path) / ADAPTER):
        if (folder / CONFIG).is_file() or all((folder / name / CONFIG).is_file() for name in NAMES):
            return folder
    raise InputError(f"adapter={path}: neither a PEFT adapter ({CONFIG}) nor a folder that `lvlm adapt` has written")


def record_of(folder: Path) -> Dict[str, Any]:
    """Return what `lvlm adapt` recorded of the adapter in a folder; nothing where it comes from elsewhere."""
    path = folder.parent / RECORD
    return read_yaml(path) if folder.name == ADAPTER and path.is_file() else {}


def check_backbone(folder: Path, backbone: Dict[str, Any]) -> None:
    """Refuse an adapter whose record names another model: it would fit by its names and shapes, and mean nothing."""
    trained_on = record_of(folder).get("backbone") or {}
    for key in ("model_type", "config_sha256", "weights_sha256", "revision"):
        ours, theirs = backbone.get(key), trained_on.get(key)
        if ours is not None and theirs is not None and ours != theirs:
            raise InputError(
                f"adapter={folder} was trained on {trained_on.get('model')} with {key} {theirs}; {backbone.get('model')} has {ours}"
            )


def parts_of(folder: Path) -> List[Tuple[str, Path]]:
    """Return name and folder of each adapter saved together: one, or an image and a text one."""
    return [("", folder)] if (folder / CONFIG).is_file() else [(name, folder / name) for name in NAMES]


def fingerprint(folder: Path) -> Dict[str, str]:
    """Return plain data that names a saved adapter: its method and a hash of its weights."""
    parts = parts_of(folder)
    kind = read_yaml(parts[0][1] / CONFIG)["peft_type"]  # JSON is YAML
    method = "two_lora" if len(parts) == 2 else str(kind).lower()
    return {"method": method, "sha256": " ".join(sha256_of(part / WEIGHTS) for _, part in parts)}
