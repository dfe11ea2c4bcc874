"""Model inputs of one modality: rendered prompts, the images that accompany them, and batches of both."""

import hashlib
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Protocol, Sequence, cast

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from recbole_sda.errors import InputError
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.images import UnreadableImage, read_rgb
from recbole_sda.lvlm.batching import Integers
from recbole_sda.lvlm.items import ItemContent, Size
from recbole_sda.lvlm.processor import Processor


class BatchPlan(Protocol):
    """The positions of the inputs of each batch, by the number of the batch."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Integers: ...


class Renderer(Protocol):
    """Makes prompts of an encoder and measures them."""

    def render(self, text: str, with_image: bool) -> str: ...

    def shorten(self, text: str, max_tokens: int) -> str: ...

    def length(self, rendered: str, size: Optional[Size] = None) -> int: ...


class Inputs(NamedTuple):
    """Inputs of some items, all of one modality.

    Attributes:
        modality: ``image`` or ``text``.
        rendered: prompts as rendered by the processor, (n,).
        images: path of each image; None for texts.
        sizes: (width, height) of each image; None for texts.
    """

    modality: str
    rendered: List[str]
    images: Optional[List[Path]]
    sizes: Optional[List[Size]]

    def subset(self, chosen: Integers) -> "Inputs":
        """Return the inputs at the chosen positions."""
        return Inputs(
            self.modality,
            [self.rendered[k] for k in chosen],
            None if self.images is None else [self.images[k] for k in chosen],
            None if self.sizes is None else [self.sizes[k] for k in chosen],
        )

    def lengths(self, processor: Renderer) -> List[int]:
        """Return the number of tokens of each input."""
        sizes: Sequence[Optional[Size]] = self.sizes or [None] * len(self.rendered)
        return [processor.length(text, size) for text, size in zip(self.rendered, sizes)]

    def keys(self) -> List[str]:
        """Return a hash of the content of each input; inputs with equal hashes have equal vectors."""
        if self.images is None:
            return [hashlib.sha256(text.encode()).hexdigest() for text in self.rendered]
        files: Dict[Path, str] = {}
        for path in self.images:
            if path not in files:
                files[path] = sha256_of(path)
        return [
            hashlib.sha256(f"{files[path]} {text}".encode()).hexdigest()
            for path, text in zip(self.images, self.rendered)
        ]

    def batch(self, processor: Processor, chosen: Integers, max_tokens: Optional[int] = None) -> Dict[str, Tensor]:
        """Return the model's inputs at the chosen positions; images are read from disk.

        Raises:
            InputError: an image can no longer be read.
        """
        images = None if self.images is None else [processor.fit(open_image(self.images[k])) for k in chosen]
        return processor.batch([self.rendered[k] for k in chosen], images, max_tokens)


def open_image(path: Path) -> Image.Image:
    """Return an image in memory: upright, RGB.

    Raises:
        InputError: the image cannot be read.
    """
    try:
        return read_rgb(path)
    except UnreadableImage as error:
        raise InputError(f"image {path} was readable before and no longer is: {error}") from None


def make_inputs(
    content: ItemContent, modality: str, processor: Renderer, chosen: Sequence[int], max_tokens: int
) -> Inputs:
    """Return the inputs of some items.

    Args:
        content: see :func:`recbole_sda.lvlm.items.read_item_content`.
        modality: ``image`` or ``text``.
        processor: renders the prompts.
        chosen: positions of the items; each of them must have the modality.
        max_tokens: maximum number of tokens of a prompt; longer prompts are cut at their end.
    """
    prompts = content.image_prompts if modality == "image" else content.text_prompts
    rendered = [processor.render(processor.shorten(prompts[k], max_tokens), modality == "image") for k in chosen]
    if modality == "text":
        return Inputs(modality, rendered, None, None)
    images, sizes = [content.images[k] for k in chosen], [content.sizes[k] for k in chosen]
    return Inputs(modality, rendered, cast(List[Path], images), cast(List[Size], sizes))


class Batches(Dataset):
    """The model's inputs of planned batches; a loader's worker processes prepare them.

    Args:
        inputs: inputs of one modality, or of several modalities of the same items.
        processor: makes the model's inputs.
        plan: positions of each batch.
    """

    def __init__(self, inputs: Sequence[Inputs], processor: Processor, plan: BatchPlan):
        self.inputs, self.processor, self.plan = list(inputs), processor, plan

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> List[Dict[str, Tensor]]:
        return [inputs.batch(self.processor, self.plan[number]) for inputs in self.inputs]


def batch_loader(batches: Batches, workers: int, start: int = 0) -> DataLoader:
    """Return a loader of the batches in order, from batch ``start`` on, prepared ahead by ``workers`` processes."""
    workers = min(workers, max(len(batches) - start, 0))
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, len(batches)),
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        worker_init_fn=_use_one_thread,
        pin_memory=torch.cuda.is_available(),
    )


def _use_one_thread(_: int) -> None:
    torch.set_num_threads(1)
