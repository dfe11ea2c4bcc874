"""Backbones without weights, to plan with: from the files of a model, or from its ``config.json`` alone."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Tuple

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers.models.auto import image_processing_auto, modeling_auto

from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import write_text
from recbole_sda.io.json import read_json
from recbole_sda.lvlm.backbone import Backbone, load_backbone
from recbole_sda.lvlm.devices import quiet
from recbole_sda.lvlm.processor import without_video
from recbole_sda.lvlm.settings import LVLMSettings

CONFIG = "config.json"
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model")
# Families whose image tokens follow from their configuration: type of the model -> class of its processor.
FROM_CONFIG = {
    "qwen2_vl": "Qwen2VLProcessor",
    "qwen2_5_vl": "Qwen2_5_VLProcessor",
    "qwen3_vl": "Qwen3VLProcessor",
}
NO_LIMIT = 10**6  # tokens of a text
QWEN = {  # attribute of the tokenizer -> special token, key of its id in the configuration
    "image_token": ("<|image_pad|>", "image_token_id"),
    "video_token": ("<|video_pad|>", "video_token_id"),
    "vision_bos_token": ("<|vision_start|>", "vision_start_token_id"),
    "vision_eos_token": ("<|vision_end|>", "vision_end_token_id"),
}


def planning_backbone(settings: LVLMSettings) -> Tuple[Backbone, bool]:
    """Return a backbone on torch's ``meta`` device, and whether its tokenizer is the model's own.

    Args:
        settings: settings of the stage; ``backbone`` is a hub id, a folder with a configuration or a configuration file.

    Raises:
        InputError: there is no such file, the type of model is not supported, or the family needs the files of its processor.
    """
    path = Path(str(settings.backbone))
    config = path if path.is_file() else path / CONFIG
    if settings.backbone is None or not config.is_file():
        return load_backbone(settings, weights=False), True
    if path.is_dir() and any((path / name).is_file() for name in TOKENIZERS):
        return load_backbone(settings, weights=False), True
    values = read_json(config, {"model_type": str})
    with tempfile.TemporaryDirectory() as folder, quiet():
        write_text(Path(folder) / CONFIG, json.dumps(values))
        _write_processor(values, str(path), Path(folder))
        try:
            return load_backbone(replace(settings, backbone=folder), weights=False), False
        except InputError as error:
            raise InputError(str(error).replace(folder, str(path))) from None


def _write_processor(config: Dict[str, Any], source: str, folder: Path) -> None:
    """Write a tokenizer of words, and for models that read images the family's image processor with its usual values."""
    kind = config["model_type"]
    if kind in FROM_CONFIG:
        special = {token: config.get(key) for token, key in QWEN.values()}
        missing = [key for token, key in QWEN.values() if not isinstance(special[token], int)]
        if missing:
            raise InputError(f"backbone={source}: {', '.join(missing)}: expected the ids of special tokens")
        vision = config.get("vision_config") or {}
        images = transformers.Qwen2VLImageProcessorPil(
            patch_size=vision.get("patch_size", 14), merge_size=vision.get("spatial_merge_size", 2)
        )
        ids = {token: number for token, number in special.items() if number is not None}
        tokenizer = _tokenizer(ids, {name: token for name, (token, _) in QWEN.items()}, NO_LIMIT)
        without_video(getattr(transformers, FROM_CONFIG[kind]))(images, tokenizer).save_pretrained(folder)
        return
    if kind in modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise InputError(
            f"backbone={source}: how many tokens an image takes in a {kind} model is in the files of its tokenizer and processor; "
            f"put them beside {CONFIG} (no weights are needed). From {CONFIG} alone: language models, dual encoders, "
            f"{', '.join(FROM_CONFIG)}"
        )
    limit = (config.get("text_config") or {}).get("max_position_embeddings") or NO_LIMIT
    _tokenizer({}, {}, limit).save_pretrained(folder)
    if kind in modeling_auto.MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES:
        size = (config.get("vision_config") or {}).get("image_size")
        names = image_processing_auto.IMAGE_PROCESSOR_MAPPING_NAMES[kind]
        keys = (
            {}
            if size is None
            else {"size": {"height": size, "width": size}, "crop_size": {"height": size, "width": size}}
        )
        getattr(transformers, names["pil"])(**keys).save_pretrained(folder)


def _tokenizer(special: Dict[str, int], names: Dict[str, str], limit: int) -> transformers.PreTrainedTokenizerFast:
    """Return a tokenizer with one token for each word and punctuation mark, all with the same id."""
    used = set(special.values())
    free = [number for number in range(len(used) + 3) if number not in used]
    words = {"<|unk|>": free[0], "<|pad|>": free[1], "<|eos|>": free[2], **special}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<|unk|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<|pad|>", "<|eos|>", *special])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<|unk|>",
        pad_token="<|pad|>",
        eos_token="<|eos|>",
        model_max_length=limit,
        extra_special_tokens=names,
    )
