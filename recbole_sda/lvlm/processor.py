"""From prompts and pictures to a model's inputs, one way for all families."""

import inspect
import math
from functools import lru_cache
from typing import Dict, List, Optional, Tuple

from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoTokenizer, ProcessorMixin
from transformers.models.auto import processing_auto

from recbole_sda.errors import InputError

Size = Tuple[int, int]
VLM, TEXT, DUAL = "vlm", "text", "dual"


@lru_cache(maxsize=None)
def without_video(kind: type) -> type:
    """Return a processor class that needs no video processor, which transformers makes with torchvision alone."""
    if "video_processor" not in kind.get_attributes():
        return kind

    class WithoutVideo(kind):  # type: ignore[misc, valid-type]
        def __init__(self, image_processor=None, tokenizer=None, **kwargs):
            super().__init__(image_processor, tokenizer, video_processor=None, **kwargs)

        @classmethod
        def get_attributes(cls):
            return [name for name in kind.get_attributes() if name != "video_processor"]

        @classmethod
        def from_args_and_dict(cls, args, processor_dict, **kwargs):
            given = {**processor_dict, **kwargs}
            return cls(*args, **{k: v for k, v in given.items() if k in known and k not in kind.get_attributes()})

    # transformers reads from the signature which arguments are saved
    signature = inspect.signature(kind.__init__)
    known = {name: p for name, p in signature.parameters.items() if name != "video_processor"}
    WithoutVideo.__init__.__signature__ = signature.replace(parameters=list(known.values()))  # type: ignore[attr-defined]
    WithoutVideo.__name__ = WithoutVideo.__qualname__ = kind.__name__
    return WithoutVideo


DATE = "26 Jul 2024"  # for templates that write today's (Llama's own fallback): prompts must not change overnight


class Processor:
    """Renders prompts, counts tokens and makes batches.

    Every picture is first brought within the pixel limits, its shape kept; then the family's own image processor sees it.
    Families with a fixed resolution (Gemma3, CLIP, SigLIP) enlarge or shrink it to theirs; SmolVLM and Idefics3 cut it into
    tiles only where the limit is above one tile.

    Args:
        source: folder or hub id.
        revision: of a hub id.
        model_type: of the configuration, such as ``qwen2_5_vl``.
        kind: ``vlm``, ``text`` or ``dual``.
        min_pixels, max_pixels: limits of a picture's area.
        patches: positions of a picture of a dual encoder, as which it counts in a batch.
    """

    def __init__(
        self,
        source: str,
        revision: Optional[str],
        model_type: str,
        kind: str,
        min_pixels: int,
        max_pixels: int,
        patches: int = 1,
    ):
        self._arguments = (source, revision, model_type, kind, min_pixels, max_pixels, patches)
        self.patches = patches
        self.kind, self.model_type = kind, model_type
        self.min_pixels, self.max_pixels = min_pixels, max_pixels
        self.tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.processor: Optional[ProcessorMixin] = None
        if kind == VLM:
            self.processor = _load(source, revision, model_type)
            self.processor.tokenizer.pad_token = self.tokenizer.pad_token
            self._limit(self.processor.image_processor)
        self.image_processor = AutoImageProcessor.from_pretrained(source, revision=revision) if kind == DUAL else None
        self._picture_tokens: Dict[Size, int] = {}

    def __reduce__(self):
        return Processor, self._arguments

    def _limit(self, image_processor) -> None:
        if {"shortest_edge", "longest_edge"} <= {k for k, v in dict(image_processor.size).items() if v}:
            # Qwen: the two are areas, whatever their names say
            image_processor.size = {"shortest_edge": self.min_pixels, "longest_edge": self.max_pixels}
        tile = getattr(image_processor, "max_image_size", None)
        if tile:
            side = dict(tile)["longest_edge"]
            image_processor.do_image_splitting = self.max_pixels > side * side

    @property
    def _image_word(self) -> str:
        return getattr(self.processor, "boi_token", None) or self.processor.image_token

    @property
    def eos_token_id(self) -> Optional[int]:
        """The end-of-sequence token."""
        return self.tokenizer.eos_token_id

    @property
    def image_token_id(self) -> Optional[int]:
        """The token that stands for (a part of) a picture; None for models that read none in a sequence."""
        return None if self.processor is None else self.processor.image_token_id

    def render(self, text: str, with_image: bool) -> str:
        """Return what the model reads: the prompt in the model's chat template, where it has one for pictures.

        Language models and dual encoders read the prompt itself; with a picture, a dual encoder reads nothing.
        """
        if self.kind != VLM:
            return "" if with_image else text
        if self.processor.chat_template is None:
            rendered = (self._image_word if with_image else "") + text
        else:
            content = [{"type": "image"}] * with_image + [{"type": "text", "text": text}]
            conversation = [{"role": "user", "content": content}]
            dated = {"date_string": DATE} if "date_string" in str(self.processor.chat_template) else {}
            rendered = ProcessorMixin.apply_chat_template(
                self.processor, conversation, tokenize=False, add_generation_prompt=True, **dated
            )
        begin = self.tokenizer.bos_token
        if self.model_type == "mllama" and begin and begin not in rendered:  # its processor would write it uncounted
            rendered = begin + rendered
        return rendered

    def shorten(self, text: str, max_tokens: int) -> str:
        """Return a prompt without the model's special tokens, cut at its end to at most ``max_tokens`` tokens."""
        for token in self.tokenizer.all_special_tokens:
            text = text.replace(token, " ")
        made = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        if len(made["input_ids"]) <= max_tokens:
            return text
        return text[: made["offset_mapping"][max_tokens - 1][1]]

    def fit(self, image: Image.Image) -> Image.Image:
        """Return a picture within the pixel limits, of the same shape; unchanged where it is within them."""
        size = fitted(image.size, self.min_pixels, self.max_pixels)
        return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)

    def batch(
        self, rendered: List[str], images: Optional[List[Image.Image]] = None, max_tokens: Optional[int] = None
    ) -> Dict[str, Tensor]:
        """Return the model's inputs, padded to the longest.

        Args:
            rendered: see :meth:`render`.
            images: one picture per prompt, or None: a batch has pictures everywhere or nowhere.
            max_tokens: texts of language models and dual encoders are cut to it.
        """
        pictures = None if images is None else [self.fit(image.convert("RGB")) for image in images]
        if self.kind == DUAL and pictures is not None:
            return dict(self.image_processor(images=pictures, return_tensors="pt"))
        if self.kind == VLM:
            given = {} if pictures is None else {"images": [[picture] for picture in pictures]}
            # the chat template has written the special tokens of the beginning
            plain = rendered[0].startswith(self.tokenizer.bos_token or "\0")
            made = self.processor(
                text=list(rendered), **given, padding=True, add_special_tokens=not plain, return_tensors="pt"
            )
            return {name: value for name, value in made.items() if isinstance(value, Tensor)}
        limit = min(max_tokens or self.tokenizer.model_max_length, self.tokenizer.model_max_length)
        padding = "max_length" if self.model_type.startswith("siglip") else True  # SigLIP was trained so, and unmasked
        cut = {"truncation": True, "max_length": limit} if limit < 10**9 else {}
        return dict(self.tokenizer(list(rendered), padding=padding, return_tensors="pt", **cut))

    def length(self, rendered: str, size: Optional[Size] = None) -> int:
        """Return the number of tokens of an input: of its text, and of a picture of ``size`` (width, height)."""
        if self.kind == DUAL and size is not None:
            return self.patches  # every picture costs the same
        if size is not None:
            return self._text_length(rendered) + self._picture_length(fitted(size, self.min_pixels, self.max_pixels))
        return self.batch([rendered])["input_ids"].shape[1] if self.kind != VLM else self._text_length(rendered)

    def _text_length(self, rendered: str) -> int:
        plain = rendered.startswith(self.tokenizer.bos_token or "\0")
        return len(self.tokenizer(rendered, add_special_tokens=not plain)["input_ids"])

    def _picture_length(self, size: Size) -> int:
        """Return what a picture adds to the tokens of its prompt; measured on a blank one, once per size."""
        if size not in self._picture_tokens:
            text = self.render("", True)
            made = self.batch([text], [Image.new("RGB", size)])
            self._picture_tokens[size] = made["input_ids"].shape[1] - self._text_length(text)
        return self._picture_tokens[size]

    def image_token_mask(self, batch: Dict[str, Tensor]) -> Tensor:
        """Return where a batch's tokens stand for pictures, (batch, seq_len), bool."""
        return batch["input_ids"] == self.image_token_id


def fitted(size: Size, min_pixels: int, max_pixels: int) -> Size:
    """Return a size of the same shape whose area is within the limits, each side at least 1."""
    width, height = size
    area = width * height
    if min_pixels <= area <= max_pixels:
        return size
    up = area < min_pixels
    scale = math.sqrt((min_pixels if up else max_pixels) / area)
    to_whole = math.ceil if up else math.floor
    return max(1, to_whole(width * scale)), max(1, to_whole(height * scale))


def _load(source: str, revision: Optional[str], model_type: str) -> ProcessorMixin:
    import transformers

    name = processing_auto.PROCESSOR_MAPPING_NAMES.get(model_type)
    if name is None:
        raise InputError(f"backbone={source}: transformers knows no processor for model type {model_type!r}")
    kind = without_video(getattr(transformers, name[0] if isinstance(name, tuple) else name))
    try:
        return kind.from_pretrained(source, revision=revision)
    except ImportError as error:
        raise InputError(f"backbone={source}: its processor needs a package that is missing: {error}") from None
