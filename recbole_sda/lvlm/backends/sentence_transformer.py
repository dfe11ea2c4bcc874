"""Encoding by sentence-transformers, for its models of texts, and of images where a model reads them."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from recbole_sda.errors import InputError, one_line
from recbole_sda.features.manifest import library_versions
from recbole_sda.lvlm.backends.threads import in_threads
from recbole_sda.lvlm.devices import default_device, quiet
from recbole_sda.lvlm.embedders import OF_ITEMS
from recbole_sda.lvlm.inputs import Inputs, open_image
from recbole_sda.lvlm.items import Size
from recbole_sda.lvlm.processor import fitted_size
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.lvlm.weights import sampled_sha256


class SentenceTransformerEncoder:
    """Vectors of a model of sentence-transformers, with its own modules, pooling and prompts.

    Args:
        settings: settings of the stage; ``backbone`` is a folder or hub id.

    Attributes:
        settings: the settings, with the model's values where keys were empty.
        modalities: what the model reads.

    Raises:
        InputError: sentence-transformers is missing, or the model cannot be loaded.
    """

    def __init__(self, settings: LVLMSettings):
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise InputError(
                "backend=sentence_transformers needs its package: pip install 'recbole-sda[sentence-transformers]'"
            ) from None
        source = settings.backbone
        if not source:
            raise InputError("backbone is missing: give --backbone=FOLDER_OR_HUB_ID")
        if not Path(source).is_dir() and (source.startswith((".", "/", "~")) or source.count("/") > 1):
            raise InputError(f"backbone={source}: the folder does not exist")
        try:
            with quiet():
                self.model: Any = SentenceTransformer(
                    source,
                    device=str(default_device(settings.device)),
                    revision=settings.revision,
                    trust_remote_code=False,
                    model_kwargs={"dtype": getattr(torch, settings.dtype)},
                )
        except Exception as error:  # damaged files make its readers raise errors of any kind
            raise InputError(f"backbone={source} cannot be loaded: {one_line(error, 400)}") from None
        prompts = self.model.prompts or {}
        name = next((name for name in OF_ITEMS if prompts.get(name)), self.model.default_prompt_name)
        values = settings.plain() | {"pooling": "model"}
        values |= {"l2": bool(settings.l2), "image_prompt": settings.image_prompt or ""}
        values["instruction"] = prompts.get(str(name), "") if settings.instruction is None else settings.instruction
        self.settings = LVLMSettings(**values)
        reads = set(getattr(self.model, "modalities", ["text"]))
        self.modalities: Tuple[str, ...] = tuple(m for m in ("image", "text") if m in reads)

    def describe(self) -> Dict[str, Any]:
        """Return what identifies the vectors: backend, model, revision, hashes, precision, version of the library."""
        source = Path(str(self.settings.backbone))
        return {
            "backend": "sentence_transformers",
            "model": source.resolve().name if source.is_dir() else str(self.settings.backbone),
            "revision": self.settings.revision,
            "weights_sha256": sampled_sha256(source) if source.is_dir() else None,
            "modules": [type(module).__name__ for module in self.model],
            "dtype": self.settings.dtype,
            **library_versions("sentence-transformers"),
        }

    def render(self, text: str, with_image: bool) -> str:
        """Return the prompt itself; the library adds the instruction."""
        return text

    def shorten(self, text: str, max_tokens: int) -> str:
        """Return a prompt cut at its end to at most ``max_tokens`` tokens."""
        tokenizer = getattr(
            self.model.tokenizer, "tokenizer", self.model.tokenizer
        )  # a processor of images and texts has one
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        if len(encoding["input_ids"]) <= max_tokens:
            return text
        return text[: encoding["offset_mapping"][max_tokens - 1][1]]

    def length(self, rendered: str, size: Optional[Size] = None) -> int:
        """Return the number of characters of a text, by which inputs of similar length share a shard."""
        return 1 if size is not None else max(1, len(rendered))

    def encode(self, inputs: Inputs, chosen: List[int]) -> Tensor:
        """Return the vectors of the chosen inputs, (n_chosen, dim), float32."""
        if inputs.images is None:
            return self._encode([inputs.rendered[k] for k in chosen])
        size, parts = self.settings.request_items, []
        groups = [chosen[k : k + size] for k in range(0, len(chosen), size)]
        for images in in_threads(
            lambda group: [self._image(inputs, k) for k in group], groups, max(1, self.settings.workers)
        ):
            parts.append(self._encode(images))
        return torch.cat(parts)

    def _encode(self, batch: List[Any]) -> Tensor:
        vectors: Tensor = self.model.encode_document(
            batch,
            prompt=self.settings.instruction,
            batch_size=self.settings.request_items,
            convert_to_tensor=True,
            show_progress_bar=False,
        )
        return vectors.float().cpu()

    def _image(self, inputs: Inputs, k: int) -> Any:
        assert inputs.images is not None
        image = open_image(inputs.images[k])
        size = fitted_size(image.size, self.settings.min_pixels, self.settings.max_pixels)
        image = image if size == image.size else image.resize(size)
        return {"image": image, "text": inputs.rendered[k]} if inputs.rendered[k] else image
