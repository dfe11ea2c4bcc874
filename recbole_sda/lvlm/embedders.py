"""How an embedding model makes one vector of an input: from the checkpoint's own files, or from a table of known models.

Checkpoints of sentence-transformers list their parts in ``modules.json``: a Transformer, Pooling, possibly Dense layers and
Normalize. ``config_sentence_transformers.json`` has their prompts. ``properties/embedders.yaml`` is the table.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from recbole_sda.errors import InputError, nearest, one_line
from recbole_sda.io.json import read_json
from recbole_sda.io.schema import check_shape
from recbole_sda.io.yaml import properties_dir, read_yaml
from recbole_sda.lvlm.settings import LVLMSettings

IMAGE_PROMPT = "The product in this picture."
POOLINGS = {"cls": "cls", "mean": "mean", "lasttoken": "last"}  # names of sentence-transformers -> names here
OLD_POOLINGS = {"cls_token": "cls", "mean_tokens": "mean", "lasttoken": "lasttoken"}
OLD_POOLINGS |= {name: name for name in ("max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens")}
OF_ITEMS = ("document", "passage")  # prompts of what is searched, in order of preference
ENTRY = {
    "names": [str], "pooling": str, "l2": bool, "instruction": str, "image_prompt?": str, "text_template?": str,
    "image_template?": str,
}  # fmt: skip


class Embedder(NamedTuple):
    """How one vector is made of an input.

    Attributes:
        source: where the values come from: ``checkpoint``, the name of an entry of the table, or ``none``.
        pooling: pooling of the last hidden states; None: that of the model's family.
        l2: whether vectors have length 1.
        instruction: text before each input: the system message of a chat template, otherwise a prefix.
        image_prompt: text that accompanies an image.
        text_template: what the model reads for a text, with ``{instruction}`` and ``{prompt}``; empty: the model's chat template.
        image_template: the same for an image, with ``{image}``.
        generation_prompt: whether the chat template ends with the beginning of an answer.
        dense: configuration and weights of the Dense layers after pooling, in order.
    """

    source: str = "none"
    pooling: Optional[str] = None
    l2: bool = False
    instruction: str = ""
    image_prompt: str = IMAGE_PROMPT
    text_template: str = ""
    image_template: str = ""
    generation_prompt: bool = True
    dense: Tuple[Tuple[Dict[str, Any], Path], ...] = ()


@lru_cache(maxsize=None)
def embedder_table() -> Dict[str, Dict[str, Any]]:
    """Return the entries of ``properties/embedders.yaml`` by name."""
    path = properties_dir() / "embedders.yaml"
    return {name: check_shape(entry, ENTRY, f"{path}: {name}") for name, entry in read_yaml(path).items()}


def entry_of(model: str) -> Optional[str]:
    """Return the name of the table's entry for a model's id or folder; None if there is none.

    Example:
        >>> entry_of("Qwen/Qwen3-VL-Embedding-2B"), entry_of("Qwen/Qwen3-VL-8B-Instruct")
        ('qwen3-vl-embedding', None)
    """
    name = model.rstrip("/").rpartition("/")[2].lower()
    return next((key for key, entry in embedder_table().items() if name.startswith(tuple(entry["names"]))), None)


def read_embedder(settings: LVLMSettings) -> Embedder:
    """Return how the backbone of the settings makes one vector of an input.

    Raises:
        InputError: ``embedder`` names no entry, or the checkpoint's modules are none that can be used here.
    """
    if settings.embedder == "none":
        return Embedder()
    if settings.embedder is None:
        of_checkpoint = _of_checkpoint(str(settings.backbone), settings.revision)
        if of_checkpoint is not None:
            return of_checkpoint
    return table_embedder(settings)


def table_embedder(settings: LVLMSettings) -> Embedder:
    """Return the table's entry that ``embedder`` or the name of the backbone names; without one, no special treatment.

    Raises:
        InputError: ``embedder`` names no entry.
    """
    table, name = embedder_table(), settings.embedder
    if name == "none":
        return Embedder()
    if name is None:
        name = entry_of(str(settings.backbone))
    if name is None:
        return Embedder()
    if name not in table:
        raise InputError(f"embedder={name!r}: allowed are none, {', '.join(table)}.{nearest(name, table)}")
    return Embedder(source=name, **{key: value for key, value in table[name].items() if key != "names"})


def with_embedder(settings: LVLMSettings, embedder: Embedder, pooling: str = "mean") -> LVLMSettings:
    """Return settings in which the embedder's values fill the empty keys pooling, l2, instruction and image_prompt.

    Args:
        settings: settings of the stage.
        embedder: see :func:`read_embedder`.
        pooling: pooling where neither the settings nor the embedder name one.
    """
    return replace(
        settings,
        embedder=embedder.source if settings.embedder is not None else None,
        pooling=settings.pooling or embedder.pooling or pooling,
        l2=embedder.l2 if settings.l2 is None else settings.l2,
        instruction=embedder.instruction if settings.instruction is None else settings.instruction,
        image_prompt=embedder.image_prompt if settings.image_prompt is None else settings.image_prompt,
    )


def _of_checkpoint(source: str, revision: Optional[str]) -> Optional[Embedder]:
    def file(name: str) -> Optional[Path]:
        if Path(source).is_dir():
            path = Path(source, name)
            return path if path.is_file() else None
        try:
            return Path(hf_hub_download(source, name, revision=revision))
        except EntryNotFoundError:
            return None
        except Exception as error:  # of the hub or of the network, of many kinds
            raise InputError(f"backbone={source} cannot be loaded: {one_line(error, 400)}") from None

    modules = file("modules.json")
    if modules is None:
        return None
    listed = read_json(modules, [{"type": str, "path": str}])
    kinds = [part["type"].rpartition(".")[2] for part in listed]
    l2 = kinds[-1:] == ["Normalize"]
    rest = kinds[2:-1] if l2 else kinds[2:]
    if kinds[:2] != ["Transformer", "Pooling"] or set(rest) - {"Dense"}:
        raise InputError(
            f"{modules}: its modules are {', '.join(kinds) or 'none'}; read here are Transformer, Pooling, Dense, Normalize, in "
            "this order. --backend=sentence_transformers runs all of them; --embedder=none ignores them"
        )
    pooling = file(f"{listed[1]['path']}/config.json")
    if pooling is None:
        raise InputError(f"{modules} names {listed[1]['path']}, which has no config.json")
    instruction = _prompt(file)
    dense = [_dense(part["path"], modules, file) for part, kind in zip(listed, kinds) if kind == "Dense"]
    return Embedder(
        source="checkpoint",
        pooling=_pooling(pooling, instruction),
        l2=l2,
        instruction=instruction,
        dense=tuple(dense),
        **_templates(file("sentence_bert_config.json")),
    )


def _templates(path: Optional[Path]) -> Dict[str, Any]:
    """Return how inputs become prompts: by the chat template where the checkpoint reads messages, otherwise as plain text."""
    shape = {
        "modality_config?": {str: object},
        "processing_kwargs?": {"chat_template?": {"add_generation_prompt?": bool}},
    }
    config = {} if path is None else read_json(path, shape)
    if "message" in config.get("modality_config", {}):
        chat = config.get("processing_kwargs", {}).get("chat_template", {})
        return {"generation_prompt": chat.get("add_generation_prompt", False)}
    return {"text_template": "{instruction}{prompt}", "image_template": "{image}{prompt}"}


def _pooling(path: Path, instruction: str) -> str:
    config = read_json(path)
    mode = config.get("pooling_mode")
    modes: List[Any] = mode if isinstance(mode, list) else [mode] if mode else []
    if not modes:
        modes = [
            OLD_POOLINGS.get(key[13:], key)
            for key, on in config.items()
            if key.startswith("pooling_mode_") and on is True
        ]
    if len(modes) != 1 or modes[0] not in POOLINGS:
        found = ", ".join(map(str, modes)) or "none"
        raise InputError(
            f"{path}: its pooling is {found}; read here are {', '.join(POOLINGS)}. --backend=sentence_transformers runs all of them"
        )
    if instruction and config.get("include_prompt") is False:
        raise InputError(
            f"{path}: include_prompt is false, which is not read here; use --backend=sentence_transformers"
        )
    return POOLINGS[modes[0]]


def _prompt(file: Callable[[str], Optional[Path]]) -> str:
    path = file("config_sentence_transformers.json")
    if path is None:
        return ""
    config = read_json(path, {"prompts?": (None, {str: str}), "default_prompt_name?": (None, str)})
    prompts, default = config.get("prompts") or {}, config.get("default_prompt_name")
    name = next((name for name in OF_ITEMS if prompts.get(name)), default)
    return str(prompts.get(name, ""))


def _dense(folder: str, modules: Path, file: Callable[[str], Optional[Path]]) -> Tuple[Dict[str, Any], Path]:
    config, weights = file(f"{folder}/config.json"), file(f"{folder}/model.safetensors")
    if config is None or weights is None:
        raise InputError(f"{modules} names {folder}, which lacks config.json or model.safetensors")
    shape = {"in_features": int, "out_features": int, "bias?": bool, "activation_function?": str}
    return read_json(config, shape), weights
