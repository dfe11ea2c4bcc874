"""Model inputs from prompts and images, with one interface for all model families."""

import inspect
import math
from functools import lru_cache
from typing import Any, Callable, Dict, List, Optional, Sequence

import transformers
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoTokenizer, ProcessorMixin
from transformers.image_processing_base import ImageProcessingMixin
from transformers.models.auto import processing_auto
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from recbole_sda.errors import InputError, one_line
from recbole_sda.lvlm.embedders import Embedder
from recbole_sda.lvlm.families import DUAL, VLM, ModelFamily
from recbole_sda.lvlm.items import Size
from recbole_sda.lvlm.pixtral import PixtralProcessor

# For chat templates that write today's date (Llama's own fallback value): prompts must not change from day to day.
DATE = "26 Jul 2024"


def processor_type(name: str) -> Any:
    """Return a processor class of transformers by name, without its part for videos."""
    return without_video(PixtralProcessor if name == "PixtralProcessor" else getattr(transformers, name))


class _DropsVideo(ProcessorMixin):
    """Comes after a processor class and before ProcessorMixin, which refuses parts that are no attributes."""

    def __init__(self, *args: Any, video_processor: None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)


@lru_cache(maxsize=None)
def without_video(kind: Any) -> Any:
    """Return a processor class without a video processor, which transformers builds with torchvision only."""
    if "video_processor" not in kind.get_attributes():
        return kind

    class WithoutVideo(kind, _DropsVideo):
        def __init__(self, image_processor: Any = None, tokenizer: Any = None, **kwargs: Any):
            super().__init__(image_processor=image_processor, tokenizer=tokenizer, video_processor=None, **kwargs)

        @classmethod
        def get_attributes(cls) -> List[str]:
            return [name for name in kind.get_attributes() if name != "video_processor"]

        @classmethod
        def from_args_and_dict(cls, args: Sequence[Any], processor_dict: Dict[str, Any], **kwargs: Any) -> Any:
            values = {**processor_dict, **kwargs}
            accepted = {k: v for k, v in values.items() if k in parameters and k not in kind.get_attributes()}
            return cls(**dict(zip(cls.get_attributes(), args)), **accepted)

    # transformers reads from this signature which arguments are saved
    signature = inspect.signature(kind.__init__)
    parameters = {name: p for name, p in signature.parameters.items() if name != "video_processor"}
    init: Any = WithoutVideo.__init__
    init.__signature__ = signature.replace(parameters=list(parameters.values()))
    WithoutVideo.__name__ = WithoutVideo.__qualname__ = kind.__name__
    return WithoutVideo


class Processor:
    """Renders prompts, counts tokens and makes batches.

    Every image is first resized to the pixel limits, keeping its aspect ratio; then the family's own image processor
    receives it. Families with a fixed resolution (Gemma3, CLIP, SigLIP) enlarge or shrink it to theirs. SmolVLM and
    Idefics3 cut it into tiles only where ``max_pixels`` is above the area of one tile.

    Args:
        source: folder or hub id of the model.
        revision: revision of a hub id; None: the default branch.
        model_type: ``model_type`` of the model's configuration, such as ``qwen2_5_vl``.
        family: how models of this type are fed.
        min_pixels: minimum area of an image in pixels.
        max_pixels: maximum area of an image in pixels.
        patches: number of positions that an image takes in a dual encoder.
        embedder: instruction and templates of the prompts.
    """

    def __init__(
        self,
        source: str,
        revision: Optional[str],
        model_type: str,
        family: ModelFamily,
        min_pixels: int,
        max_pixels: int,
        patches: int = 1,
        embedder: Embedder = Embedder(),  # noqa: B008  # immutable
    ):
        self._arguments = (source, revision, model_type, family, min_pixels, max_pixels, patches, embedder)
        self.model_type, self.patches, self.family, self.kind = model_type, patches, family, family.kind
        self.embedder, self.instruction = embedder, embedder.instruction
        self.min_pixels, self.max_pixels = min_pixels, max_pixels
        self.tokenizer: Any = AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.processor: Any = None  # of transformers, for kind vlm
        if self.kind == VLM:
            self.processor = _load(source, revision, model_type)
            self.processor.tokenizer.pad_token = self.tokenizer.pad_token
            self._limit(self.processor.image_processor)
        self.image_processor: Any = None
        if self.kind == DUAL:
            self.image_processor = AutoImageProcessor.from_pretrained(
                source, revision=revision, trust_remote_code=False
            )
        self._image_tokens: Dict[Size, int] = {}

    def __reduce__(self) -> Any:
        return Processor, self._arguments

    def _limit(self, image_processor: Any) -> None:
        if {"shortest_edge", "longest_edge"} <= {k for k, v in dict(image_processor.size or {}).items() if v}:
            # Qwen: despite their names, both are areas
            image_processor.size = {"shortest_edge": self.min_pixels, "longest_edge": self.max_pixels}
        tile = getattr(image_processor, "max_image_size", None)
        if tile:
            side = dict(tile)["longest_edge"]
            image_processor.do_image_splitting = self.max_pixels > side * side

    @property
    def image_placeholder(self) -> str:
        """Text that represents an image in a prompt."""
        return str(getattr(self.processor, self.family.placeholder))

    @property
    def eos_token_id(self) -> Optional[int]:
        """Id of the end-of-sequence token."""
        return self.tokenizer.eos_token_id

    def render(self, text: str, with_image: bool) -> str:
        """Return the text that the model reads: the prompt in the model's chat template, if it has one.

        Language models and dual encoders read the prompt itself; with an image, a dual encoder reads no text. A template of the
        embedder replaces the chat template.
        """
        template = self.embedder.image_template if with_image else self.embedder.text_template
        if self.kind == VLM and template:
            image = self.image_placeholder if with_image else ""
            return template.format(instruction=self.instruction, prompt=text, image=image)
        return self.family.render(self, text, with_image)

    def chat(self, text: str, with_image: bool) -> str:
        """Return a prompt in the model's chat template; without one, the prompt after the image's placeholder."""
        if self.processor.chat_template is None:
            return (self.image_placeholder if with_image else "") + self.instruction + text
        content: List[Dict[str, str]] = [{"type": "image"}] * with_image + [{"type": "text", "text": text}] * bool(text)
        conversation: List[Any] = [{"role": "user", "content": content}]
        if self.instruction:
            conversation.insert(0, {"role": "system", "content": [{"type": "text", "text": self.instruction}]})
        date: Dict[str, Any] = {"date_string": DATE} if "date_string" in str(self.processor.chat_template) else {}
        try:
            return ProcessorMixin.apply_chat_template(
                self.processor,
                conversation,
                tokenize=False,
                add_generation_prompt=self.embedder.generation_prompt,
                **date,
            )
        except Exception as error:  # a template is a program; its sandbox raises errors of any kind
            raise InputError(f"backbone: its chat template cannot be used ({one_line(error)})") from None

    def has_begin(self, rendered: str) -> bool:
        """Return whether a rendered prompt begins with the special token of a beginning."""
        return rendered.startswith(self.tokenizer.bos_token or "\0")

    def shorten(self, text: str, max_tokens: int) -> str:
        """Return a prompt without the model's special tokens, cut at its end to at most ``max_tokens`` tokens."""
        for token in self.tokenizer.all_special_tokens:
            text = text.replace(token, " ")
        encoding = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        if len(encoding["input_ids"]) <= max_tokens:
            return text
        return text[: encoding["offset_mapping"][max_tokens - 1][1]]

    def fit(self, image: Image.Image) -> Image.Image:
        """Return an image resized to the pixel limits, of the same aspect ratio; unchanged if it is within them."""
        size = fitted_size(image.size, self.min_pixels, self.max_pixels)
        return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)

    def batch(
        self, rendered: List[str], images: Optional[List[Image.Image]] = None, max_tokens: Optional[int] = None
    ) -> Dict[str, Tensor]:
        """Return the model's inputs, padded to the longest.

        Args:
            rendered: see :meth:`render`.
            images: one image per prompt, or None: either every input of a batch has an image or none has.
            max_tokens: maximum length to which texts of language models and dual encoders are cut.

        Raises:
            InputError: the processor's files do not go together, such as a tokenizer without the token of an image.
        """
        try:
            return self._batch(rendered, images, max_tokens)
        except (InputError, MemoryError):
            raise
        except Exception as error:  # transformers raises errors of any kind
            raise InputError(f"backbone: its processor takes no such prompt ({one_line(error)})") from None

    def _batch(
        self, rendered: List[str], images: Optional[List[Image.Image]], max_tokens: Optional[int]
    ) -> Dict[str, Tensor]:
        fitted = None if images is None else [self.fit(image.convert("RGB")) for image in images]
        return self.family.inputs(self, rendered, fitted, max_tokens)

    def length(self, rendered: str, size: Optional[Size] = None) -> int:
        """Return the number of tokens of an input: those of its text plus those of an image of ``size``."""
        if self.kind == DUAL and size is not None:
            return self.patches  # every image has the same number
        image = 0 if size is None else self._image_length(fitted_size(size, self.min_pixels, self.max_pixels))
        return self.family.text_length(self, rendered) + image

    def _image_length(self, size: Size) -> int:
        """Return the number of tokens that an image adds to its prompt; measured on a blank image, once per size."""
        if size not in self._image_tokens:
            text = self.render("", True)
            encoding = self.batch([text], [Image.new("RGB", size)])
            self._image_tokens[size] = encoding["input_ids"].shape[1] - self.family.text_length(self, text)
        return self._image_tokens[size]

    def image_token_mask(self, batch: Dict[str, Tensor]) -> Tensor:
        """Return which tokens of a batch represent images, (batch, seq_len), bool."""
        return batch["input_ids"].eq(self.family.image_token_id(self))


def fitted_size(size: Size, min_pixels: int, max_pixels: int) -> Size:
    """Return a size of the same aspect ratio whose area is within the limits; each side is at least 1 pixel.

    Example:
        >>> fitted_size((300, 200), 1, 15000)
        (150, 100)
    """
    width, height = size
    area = width * height
    if min_pixels <= area <= max_pixels:
        return size
    up = area < min_pixels
    scale = math.sqrt((min_pixels if up else max_pixels) / area)
    to_whole = math.ceil if up else math.floor
    return max(1, to_whole(width * scale)), max(1, to_whole(height * scale))


def _load(source: str, revision: Optional[str], model_type: str) -> ProcessorMixin:
    """Return the processor that the checkpoint names, or else that of the model type."""
    name: Any = _class_of_checkpoint(source, revision) or processing_auto.PROCESSOR_MAPPING_NAMES.get(model_type)
    if name is None:
        raise InputError(f"backbone={source}: transformers has no processor for model type {model_type!r}")
    try:
        kind = processor_type(name[0] if isinstance(name, tuple) else name)
        return kind.from_pretrained(source, revision=revision, trust_remote_code=False)
    except (ImportError, ValueError) as error:  # transformers raises either for a package that is missing
        text = one_line(error)
        if isinstance(error, ValueError) and "torchvision" not in str(error):
            raise
        extra = "; pip install 'recbole-sda[torchvision]'" if "torchvision" in str(error).lower() else ""
        raise InputError(f"backbone={source}: {name} needs a package that is missing{extra} ({text})") from None


def _class_of_checkpoint(source: str, revision: Optional[str]) -> Optional[str]:
    """Return the ``processor_class`` that a checkpoint names, if transformers has it."""
    readers: List[Callable[[], Any]] = [
        lambda: ProcessorMixin.get_processor_dict(source, revision=revision)[0],
        lambda: ImageProcessingMixin.get_image_processor_dict(source, revision=revision)[0],
        lambda: get_tokenizer_config(source, revision=revision),
    ]
    for read in readers:
        try:
            name = read().get("processor_class")
        except OSError:  # the checkpoint lacks the file
            continue
        if name and hasattr(transformers, name):
            return str(name)
    return None
