"""Adapters on a backbone: MoDA, one LoRA for both modalities, or one LoRA per modality."""

import re
import warnings
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple, Union, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from recbole_sda.errors import InputError, one_line
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.json import read_json
from recbole_sda.io.schema import NUMBER
from recbole_sda.io.tensors import open_tensors, read_tensors
from recbole_sda.lvlm.moda import MoDAConfig, MoDALinear
from recbole_sda.lvlm.modality_context import current_modality, modality
from recbole_sda.lvlm.record import read_record
from recbole_sda.lvlm.settings import LVLMSettings

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MAX_REPETITIONS = 4  # of an expression for names of layers
ADAPTER, RECORD = "adapter", "adapt.yaml"  # in the folder of an adaptation
NAMES = ("image", "text")  # of the two adapters of two_lora, in the order of the modalities


def attach(model: Any, targets: Sequence[str], settings: LVLMSettings, n_modalities: int = 2) -> PeftModel:
    """Put a new, trainable adapter on a frozen model; it starts as the zero map.

    Args:
        model: the backbone's model.
        targets: full names of the linear layers to adapt.
        settings: method, rank, experts, alpha, dropout. ``two_lora`` has a LoRA of the full rank per modality, so twice
            the weights of the other two methods.
        n_modalities: number of modalities of MoDA's gates.

    Returns:
        The wrapped model. The adapter's weights are float32 whatever the dtype of the model.
    """
    s = settings
    config: Any
    if s.method == "moda":
        config = MoDAConfig(r=s.rank, experts=s.experts, alpha=s.alpha, dropout=s.dropout, n_modalities=n_modalities)
    else:
        # PEFT declares an int; alpha is a float here, and PEFT only divides it by r
        config = LoraConfig(r=s.rank, lora_alpha=cast(int, s.alpha), lora_dropout=s.dropout)
    config.target_modules = set(targets)
    with _without_future_warnings():
        adapted = _wrap(model, config, s.method)
    if s.gradient_checkpointing:
        enable_checkpointing(adapted)
    return adapted


@contextmanager
def _without_future_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT uses a deprecated name of transformers
        yield


def _wrap(model: Any, config: Any, method: str) -> PeftModel:
    if method != "two_lora":
        return cast(PeftModel, get_peft_model(model, config))
    adapted = cast(PeftModel, get_peft_model(model, config, adapter_name=NAMES[0]))
    adapted.add_adapter(NAMES[1], config)
    for name, weight in adapted.named_parameters():
        weight.requires_grad_("lora_" in name)
    return adapted


def enable_checkpointing(adapted: PeftModel) -> None:
    """Recompute the decoder's activations in the backward pass, under the modality of their forward pass."""
    arguments = {"use_reentrant": False, "context_fn": partial(_contexts, adapted)}
    model: Any = adapted.get_base_model()
    if hasattr(model, "activation_checkpointing_enable"):  # the name from transformers 5.2x on
        model.activation_checkpointing_enable(arguments)
    else:
        model.gradient_checkpointing_enable(arguments)
    # transformers lets the embeddings of images and tokens require gradients, which only reentrant checkpointing needs: the
    # activations of the frozen vision tower would be kept, without checkpointing.
    model.disable_input_require_grads()


def _contexts(adapted: PeftModel) -> Tuple[AbstractContextManager, AbstractContextManager]:
    """Return the contexts of the forward pass and of its recomputation."""
    return nullcontext(), adapter_pass(adapted, cast(int, current_modality()))


@contextmanager
def adapter_pass(adapted: PeftModel, m: int) -> Iterator[None]:
    """Context manager in which forward passes are of modality number ``m``: they use its gates, or its own LoRA."""
    with modality(m):
        if method_of(adapted) == "two_lora":
            activate(adapted, NAMES[m])
        yield


def activate(adapted: PeftModel, name: str) -> None:
    """Use one of several adapters. Unlike PEFT's ``set_adapter``, this leaves the gradients of the others on."""
    for layer in _layers(adapted):
        layer._active_adapter = [name]


def _layers(adapted: PeftModel) -> List[BaseTunerLayer]:
    """Return the adapted layers; the list is computed once per model."""
    layers = adapted.__dict__.get("_sda_layers")
    if layers is None:
        layers = adapted.__dict__["_sda_layers"] = [m for m in adapted.modules() if isinstance(m, BaseTunerLayer)]
    return layers


def method_of(adapted: PeftModel) -> str:
    """Return ``moda``, ``lora`` or ``two_lora``."""
    if set(NAMES) <= set(adapted.peft_config):
        return "two_lora"
    peft_type: Any = next(iter(adapted.peft_config.values())).peft_type
    return "moda" if str(peft_type.value) == "MODA" else "lora"


def gates(adapted: PeftModel) -> Dict[str, List[List[float]]]:
    """Return the gate of each adapted layer, name -> modality -> expert; empty for methods other than MoDA."""
    by_layer = {}
    for name, module in adapted.get_base_model().named_modules():
        if isinstance(module, MoDALinear):
            by_layer[name] = module.gate(module.active_adapters[0]).detach().float().tolist()
    return by_layer


@contextmanager
def merged(adapted: PeftModel, m: int) -> Iterator[None]:
    """Context manager in which the model's weights include the low-rank map of modality ``m``.

    A merged model costs as much as the bare one. On exit, the weights are restored bit by bit from copies in main memory.

    Raises:
        TypeError: a layer is quantised.
    """
    weights = [cast(nn.Linear, layer.get_base_layer()).weight for layer in _layers(adapted)]
    originals = [weight.data.to("cpu", copy=True) for weight in weights]
    with adapter_pass(adapted, m), torch.no_grad():
        adapted.merge_adapter()
    try:
        yield
    finally:
        adapted.unmerge_adapter()
        for weight, original in zip(weights, originals):
            weight.data.copy_(original)


def save(adapted: PeftModel, folder: Union[str, Path]) -> None:
    """Write the adapter in PEFT's format; the two adapters of two_lora go into the folders ``image`` and ``text``."""
    adapted.save_pretrained(str(folder))


def load(model: Any, folder: Union[str, Path], trainable: bool = False) -> PeftModel:
    """Put a saved adapter on a model.

    Raises:
        InputError: the folder holds no adapter, or the adapter is for a model with other layers.
    """
    parts = [(name or "default", part) for name, part in parts_of(folder_of(folder))]
    for _, part in parts:
        read_config(part)
        read_tensors(part / WEIGHTS)
    try:
        with _without_future_warnings():
            adapted = PeftModel.from_pretrained(model, str(parts[0][1]), parts[0][0], is_trainable=trainable)
            for name, part in parts[1:]:
                adapted.load_adapter(str(part), name, is_trainable=trainable)
        for name, part in parts:
            _check_tensors(adapted, name, part)
    except InputError:
        raise
    except (
        ValueError,
        RuntimeError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
    ) as error:  # of PEFT, for a foreign config
        raise InputError(f"adapter={folder} does not fit this backbone: {one_line(error, 300)}") from None
    return adapted


def _check_tensors(adapted: PeftModel, name: str, part: Path) -> None:
    """Raise a ValueError unless the saved adapter has exactly the model's tensors; PEFT ignores missing and extra ones."""
    saved = set(open_tensors(part / WEIGHTS).keys())
    differing = saved ^ set(get_peft_model_state_dict(adapted, adapter_name=name))
    if differing:
        raise ValueError(
            f"{len(differing)} tensors exist only in the adapter or only in the model, among them {min(differing)}"
        )


def folder_of(path: Union[str, Path]) -> Path:
    """Return the folder of an adapter: the path itself, or ``adapter`` in the folder of an adaptation.

    Raises:
        InputError: the path is neither.
    """
    for folder in (Path(path), Path(path) / ADAPTER):
        if (folder / CONFIG).is_file() or all((folder / name / CONFIG).is_file() for name in NAMES):
            return folder
    raise InputError(f"adapter={path}: neither a PEFT adapter ({CONFIG}) nor a folder written by `lvlm adapt`")


def record_of(folder: Path) -> Dict[str, Any]:
    """Return what ``lvlm adapt`` recorded about the adapter in a folder; empty for adapters from other sources."""
    path = folder.parent / RECORD
    if folder.name != ADAPTER or not path.exists():
        return {}
    record = read_record(path)
    if "adapter" in record and record["adapter"] != fingerprint(folder):
        raise InputError(
            f"{folder} was changed after {path} was written, or the adaptation ended between the two; "
            f"`lvlm adapt --resume={folder.parent}` continues it"
        )
    return record


def read_config(part: Path) -> Dict[str, Any]:
    """Return the ``adapter_config.json`` of a saved adapter.

    Raises:
        InputError: it is damaged, is no object with a ``peft_type``, or names the adapted layers by an expression whose search may
            take for ever: with a repeated group, or with more than 4 repetitions.
    """
    config: Dict[str, Any] = read_json(
        part / CONFIG, {"peft_type": str, "r?": int, "alpha?": NUMBER, "lora_alpha?": NUMBER}
    )
    targets = config.get("target_modules")
    names = [targets] if isinstance(targets, str) else targets
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise InputError(f"{part / CONFIG}: target_modules={str(targets)[:80]!r}: expected a list of names of layers")
    if isinstance(targets, str) and (
        re.search(r"\)[*+{?]", targets) or len(re.findall("[*+{]", targets)) > MAX_REPETITIONS
    ):
        raise InputError(f"{part / CONFIG}: target_modules={targets[:80]!r}: expected a list of names of layers")
    return config


def check_backbone(folder: Path, backbone: Dict[str, Any]) -> None:
    """Check that an adapter was trained on this backbone, if its record names a backbone.

    An adapter of another model of the same architecture would load without an error and give meaningless vectors.

    Raises:
        InputError: the adapter's record names another backbone.
    """
    trained_on = record_of(folder).get("backbone") or {}
    for key in ("model_type", "config_sha256", "weights_sha256", "revision"):
        ours, theirs = backbone.get(key), trained_on.get(key)
        if ours is not None and theirs is not None and ours != theirs:
            raise InputError(
                f"adapter={folder} was trained on {trained_on.get('model')} with {key} {theirs}; {backbone.get('model')} has {ours}"
            )


def parts_of(folder: Path) -> List[Tuple[str, Path]]:
    """Return (name, folder) of each adapter saved in a folder: one without a name, or one each for image and text."""
    return [("", folder)] if (folder / CONFIG).is_file() else [(name, folder / name) for name in NAMES]


def fingerprint(folder: Path) -> Dict[str, str]:
    """Return plain data that identifies a saved adapter: its method and the SHA-256 of its weights."""
    parts = parts_of(folder)
    kind = read_config(parts[0][1])["peft_type"]
    method = "two_lora" if len(parts) == 2 else str(kind).lower()
    return {"method": method, "sha256": " ".join(sha256_of(part / WEIGHTS) for _, part in parts)}
