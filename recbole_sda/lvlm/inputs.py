"""The inputs of one modality: what is rendered, which pictures belong to it, and batches of both for the model."""

import hashlib
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from recbole_sda.errors import InputError
from recbole_sda.io.images import to_upright_rgb
from recbole_sda.lvlm.items import Catalogue, Size


class Inputs(NamedTuple):
    """Inputs of some items, in their order.

    Attributes:
        modality: ``image`` or ``text``.
        rendered: what the model reads, as rendered by the processor, (n,).
        pictures: path of each picture; None for texts.
        sizes: (width, height) of each picture; None for texts.
    """

    modality: str
    rendered: List[str]
    pictures: Optional[List[Path]]
    sizes: Optional[List[Size]]

    def only(self, chosen: Sequence[int]) -> "Inputs":
        """Return the inputs at some positions."""
        parts = [None if part is None else [part[k] for k in chosen] for part in self[1:]]
        return Inputs(self.modality, *parts)

    def lengths(self, processor) -> List[int]:
        """Return the number of tokens of each input."""
        sizes = self.sizes or [None] * len(self.rendered)
        return [processor.length(text, size) for text, size in zip(self.rendered, sizes)]

    def keys(self) -> List[str]:
        """Return a hash of the content of each input: equal inputs have equal vectors."""
        if self.pictures is None:
            return [hashlib.sha256(text.encode()).hexdigest() for text in self.rendered]
        files: Dict[Path, str] = {}
        for path in self.pictures:
            if path not in files:
                with open(path, "rb") as file:
                    files[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return [
            hashlib.sha256(f"{files[path]} {text}".encode()).hexdigest()
            for path, text in zip(self.pictures, self.rendered)
        ]

    def batch(self, processor, chosen: Sequence[int], max_tokens: Optional[int] = None) -> Dict[str, Tensor]:
        """Return the model's inputs of some positions, pictures read from disk.

        Raises:
            InputError: a picture can no longer be read.
        """
        images = None if self.pictures is None else [processor.fit(open_picture(self.pictures[k])) for k in chosen]
        return processor.batch([self.rendered[k] for k in chosen], images, max_tokens)


def open_picture(path: Path) -> Image.Image:
    """Return a picture in memory, as people see it."""
    try:
        with Image.open(path) as image:
            return to_upright_rgb(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"picture {path} could be read before and cannot now: {error}") from None


def make_inputs(catalogue: Catalogue, modality: str, processor, chosen: Sequence[int], max_tokens: int) -> Inputs:
    """Return the inputs of some items of a catalogue, which must have the modality.

    Args:
        catalogue: see :func:`recbole_sda.lvlm.items.read_catalogue`.
        modality: ``image`` or ``text``.
        processor: renders prompts.
        chosen: positions of the items.
        max_tokens: most tokens of a prompt; longer ones are cut at their end.
    """
    texts = catalogue.picture_texts if modality == "image" else catalogue.texts
    rendered = [processor.render(processor.shorten(texts[k], max_tokens), modality == "image") for k in chosen]
    if modality == "text":
        return Inputs(modality, rendered, None, None)
    pictures, sizes = [catalogue.pictures[k] for k in chosen], [catalogue.sizes[k] for k in chosen]
    return Inputs(modality, rendered, pictures, sizes)


class Batches(Dataset):
    """The model's inputs of given batches, prepared by worker processes.

    Args:
        inputs: one modality, or several of the same items.
        processor: makes the model's inputs.
        plan: positions of each batch.
    """

    def __init__(self, inputs: Sequence[Inputs], processor, plan: Sequence[Sequence[int]]):
        self.inputs, self.processor, self.plan = list(inputs), processor, plan

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> List[Dict[str, Tensor]]:
        return [inputs.batch(self.processor, self.plan[number]) for inputs in self.inputs]


def prepared(batches: Batches, workers: int, start: int = 0) -> DataLoader:
    """Return a loader of the batches in their order, from number ``start`` on, made ahead by ``workers`` processes."""
    workers = min(workers, max(len(batches) - start, 0))
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, len(batches)),
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        worker_init_fn=_one_thread,
    )


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
