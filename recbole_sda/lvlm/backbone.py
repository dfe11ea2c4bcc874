"""Backbones: models of transformers that read images and texts, or texts only, behind one interface."""

import hashlib
import json
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, TypeVar

import torch
import transformers
from torch import Tensor, nn

from recbole_sda.errors import NO_MEMORY, InputError, one_line
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.regular_file import regular_file
from recbole_sda.lvlm.dense_head import dense_head
from recbole_sda.lvlm.devices import default_device, quiet
from recbole_sda.lvlm.embedders import Embedder, read_embedder, with_embedder
from recbole_sda.lvlm.families import DUAL, TEXT, ModelFamily, family_of
from recbole_sda.lvlm.processor import Processor
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.lvlm.weights import load_model, sampled_sha256

Result = TypeVar("Result")


class Backbone(NamedTuple):
    """A frozen model with its processor.

    Attributes:
        model: a model of transformers in evaluation mode, without trainable weights.
        processor: makes the model's inputs.
        family: how the model is read.
        dim: dimension of a vector.
        record: what :meth:`describe` returns.
        head: layers after pooling; None without.
    """

    model: Any
    processor: Processor
    family: ModelFamily
    dim: int
    record: Dict[str, Any]
    head: Optional[nn.Module] = None

    @property
    def kind(self) -> str:
        """``vlm`` (one decoder reads images and texts), ``text`` (texts only) or ``dual`` (one encoder per modality)."""
        return self.family.kind

    def text_groups(self, wanted: int) -> int:
        """Return the number of groups of texts in a training step: 1 for text encoders, which may need a fixed length."""
        return 1 if self.kind == DUAL else wanted

    @property
    def modalities(self) -> Tuple[str, ...]:
        """The modalities that the model reads."""
        return ("text",) if self.kind == TEXT else ("image", "text")

    @property
    def device(self) -> torch.device:
        """The device of the model's first weights."""
        return next(self.model.parameters()).device

    def describe(self) -> Dict[str, Any]:
        """Return plain data that identifies the model: id or folder name, revision, type, hashes, precision."""
        return dict(self.record)

    def adapted_parts(self) -> List[nn.Module]:
        """Return the modules whose linear layers are adapted: the decoder, or both encoders of a dual encoder."""
        return self.family.adapted_parts(self.model)

    def adapter_targets(self) -> List[str]:
        """Return the full name of every linear layer that is adapted, in the model's order.

        In a vision-language model these are the layers of the decoder. Its vision encoder, the projector and the output
        layer are not adapted.
        """
        linear = {id(m) for part in self.adapted_parts() for m in part.modules() if isinstance(m, nn.Linear)}
        return [name for name, module in self.model.named_modules() if id(module) in linear]

    def train_mode(self, adapted: nn.Module, on: bool) -> None:
        """Switch dropout and checkpointing of the adapted parts on or off; the rest stays in evaluation mode."""
        adapted.eval()
        for part in self.adapted_parts():
            part.train(on)

    def states(self, batch: Dict[str, Tensor], modality: str) -> Tuple[Tensor, Tensor]:
        """Return the last hidden states, (batch, seq_len, dim), and their attention mask, (batch, seq_len), bool.

        The projected embedding of a dual encoder is a sequence of length 1.

        Raises:
            InputError: the files of the model do not go together, such as a tokenizer with more tokens than the model.
        """
        try:
            return self.family.states(self.model, batch, modality)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a model of any kind; what torch says about memory is left to the command
            if any(text in str(error) for text in NO_MEMORY):
                raise
            raise InputError(
                f"backbone {self.record['model']}: it encodes no {modality} ({one_line(error)})"
            ) from error


def load_backbone(settings: LVLMSettings, weights: bool = True) -> Backbone:
    """Load a model and its processor from a folder or a hub.

    Args:
        settings: settings of the stage.
        weights: False creates the model on torch's ``meta`` device, with shapes but no weights: enough to plan with.

    Raises:
        InputError: the model does not exist, is of an unsupported type, needs a missing package, or its files lack weights.
    """
    source = settings.backbone
    if not source:
        raise InputError("backbone is missing: give --backbone=FOLDER_OR_HUB_ID")
    with quiet():
        config = _config(source, settings.revision)
        family = _family(source, config.model_type)
        embedder = read_embedder(settings)
        # Before a model is created, which changes the configuration.
        record = _load(source, lambda: _record(settings, source, config))
        processor = _load(source, lambda: _processor(settings, config, family, embedder))
        auto = getattr(transformers, family.loader)
        if weights:
            model = _load(source, lambda: load_model(auto, source, _model_arguments(settings), family.unused))
            if settings.quantization is None and settings.device != "auto":
                model = model.to(default_device(settings.device))
        else:
            with torch.device("meta"):
                model = _load(
                    source,
                    lambda: auto.from_config(
                        config, dtype=getattr(torch, settings.dtype), attn_implementation=settings.attention
                    ),
                )
    model.requires_grad_(False).eval()
    dim = _load(source, lambda: family.dim(config))
    head = dense_head(embedder.dense, dim, weights)
    if head is not None:
        dim, record["dense_sha256"] = (
            embedder.dense[-1][0]["out_features"],
            [sha256_of(path) for _, path in embedder.dense],
        )
        head = head.to(next(model.parameters()).device)
    for key in ("truncate_dim", "loss_dim"):
        if (getattr(settings, key) or 0) > dim:
            raise InputError(f"{key}={getattr(settings, key)}: the vectors of {source} have {dim} values")
    return Backbone(model, processor, family, dim, record, head)


def resolved(settings: LVLMSettings) -> LVLMSettings:
    """Return settings in which the backbone's embedder fills the empty keys pooling, l2, instruction and image_prompt.

    Raises:
        InputError: the backbone does not exist, is of an unsupported type, or its modules cannot be read.
    """
    source = settings.backbone
    if not source:
        raise InputError("backbone is missing: give --backbone=FOLDER_OR_HUB_ID")
    if settings.backend != "transformers":
        raise InputError(f"backend={settings.backend} is for extract alone; leave it out")
    with quiet():
        family = _family(source, _config(source, settings.revision).model_type)
        return with_embedder(settings, read_embedder(settings), family.pooling)


def _family(source: str, model_type: str) -> ModelFamily:
    try:
        family = family_of(model_type)
    except InputError as error:
        raise InputError(f"backbone={source} is {error}") from None
    if family.refusal:
        raise InputError(f"backbone={source} is refused: {family.refusal}")
    return family


def _processor(settings: LVLMSettings, config: Any, family: ModelFamily, embedder: Embedder) -> Processor:
    values = with_embedder(settings, embedder)
    embedder = embedder._replace(instruction=str(values.instruction))
    limits = (settings.min_pixels, settings.max_pixels)
    return Processor(
        str(settings.backbone), settings.revision, config.model_type, family, *limits, family.patches(config), embedder
    )


def _config(source: str, revision: Optional[str]) -> Any:
    folder = Path(source)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise InputError(f"backbone={source}: the folder holds no config.json")
    if not folder.is_dir() and (source.startswith((".", "/", "~")) or source.count("/") > 1):
        raise InputError(f"backbone={source}: the folder does not exist")
    if folder.is_dir():
        for path in folder.iterdir():
            if not path.is_dir():
                regular_file(path, f"backbone={source}: file")  # transformers would wait for a pipe
    return _load(
        source, lambda: transformers.AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
    )


def _load(source: str, action: Callable[[], Result]) -> Result:
    """Return the result of ``action``; turn errors of a model's files into an InputError."""
    try:
        return action()
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # damaged files make transformers and its readers raise errors of any kind
        raise InputError(f"backbone={source} cannot be loaded: {one_line(error, 400)}") from None


def _model_arguments(settings: LVLMSettings) -> Dict[str, Any]:
    arguments: Dict[str, Any] = {"revision": settings.revision, "dtype": getattr(torch, settings.dtype)}
    arguments["trust_remote_code"] = False  # without it, transformers asks on the terminal
    arguments["attn_implementation"] = settings.attention
    if settings.device == "auto":
        arguments["device_map"] = "auto"
    if settings.quantization is not None:
        arguments["quantization_config"] = _quantization(settings)
        arguments.setdefault("device_map", {"": default_device(settings.device)})
    return arguments


def _quantization(settings: LVLMSettings) -> transformers.BitsAndBytesConfig:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise InputError(f"quantization={settings.quantization} needs bitsandbytes: pip install bitsandbytes") from None
    if settings.quantization == "8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    compute = getattr(torch, settings.dtype)
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute
    )


def _record(settings: LVLMSettings, source: str, config: Any) -> Dict[str, Any]:
    folder = Path(source)
    values = {k: v for k, v in config.to_diff_dict().items() if k not in ("transformers_version", "_name_or_path")}
    text = json.dumps(values, sort_keys=True, default=str)
    return {
        "model": folder.resolve().name if folder.is_dir() else source,
        "revision": getattr(config, "_commit_hash", None) or settings.revision,
        "model_type": config.model_type,
        "config_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "weights_sha256": sampled_sha256(folder) if folder.is_dir() else None,
        "dtype": settings.dtype,
        "quantization": settings.quantization,
    }
