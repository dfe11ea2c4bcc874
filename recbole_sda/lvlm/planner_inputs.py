"""The inputs that a plan is for: those of an items file, or equal inputs of a given size; images are blank, of the right size."""

import math
from typing import Dict, List, NamedTuple, Optional, Sequence, Union

import numpy as np
from PIL import Image
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.lvlm.backbone import Backbone
from recbole_sda.lvlm.batching import Integers
from recbole_sda.lvlm.inputs import Inputs, make_inputs
from recbole_sda.lvlm.items import Size, read_item_content
from recbole_sda.lvlm.processor import Processor
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.lvlm.training_items import MAX_HELD_OUT, MIN_HELD_OUT, StepBatches, select_training_items

MAX_STEPS = 1000  # training steps whose batches are measured


class Measured(NamedTuple):
    """Inputs of one modality with their numbers of tokens.

    Attributes:
        rendered: prompts as rendered by the processor, (n,).
        sizes: (width, height) of each image; None for texts.
        lengths: number of tokens of each input, (n,).
    """

    rendered: Sequence[str]
    sizes: Optional[Sequence[Size]]
    lengths: np.ndarray

    def batch(self, processor: Processor, chosen: Integers) -> Dict[str, Tensor]:
        """Return the model's inputs at the chosen positions."""
        images = None if self.sizes is None else [Image.new("RGB", self.sizes[k]) for k in chosen]
        return processor.batch([self.rendered[k] for k in chosen], images)


class Training(NamedTuple):
    """Inputs of an adaptation.

    Attributes:
        sides: inputs of the image pass and of the text pass, of the same items.
        held_out: positions of the items for evaluation.
        batches: positions of the items of each step, at most :data:`MAX_STEPS` of them.
        text_groups: number of groups in which the texts of a batch are encoded.
    """

    sides: List[Measured]
    held_out: np.ndarray
    batches: List[np.ndarray]
    text_groups: int

    def padded(self) -> np.ndarray:
        """Return the number of tokens of each batch with padding, of both passes, (n_batches,)."""
        image, text = (side.lengths for side in self.sides)
        return np.array([_padded(image[batch], 1) + _padded(text[batch], self.text_groups) for batch in self.batches])


def _padded(lengths: np.ndarray, groups: int) -> int:
    parts = np.array_split(np.sort(lengths)[::-1], min(groups, len(lengths)))
    return sum(len(part) * int(part[0]) for part in parts)


class Catalogue(NamedTuple):
    """What a plan is for.

    Attributes:
        modalities: the inputs of an extraction by modality.
        training: those of an adaptation; None for a backbone that reads texts only.
        counts: numbers of items, as plain data.
    """

    modalities: Dict[str, Measured]
    training: Optional[Training]
    counts: Dict[str, int]


def catalogue_of_file(settings: LVLMSettings, backbone: Backbone) -> Catalogue:
    """Return the inputs of an items file.

    Raises:
        InputError: the file or its items cannot be used.
    """
    processor, with_images = backbone.processor, "image" in backbone.modalities
    content = read_item_content(settings, with_images)
    modalities = {}
    for name in backbone.modalities:
        inputs = make_inputs(content, name, processor, content.positions_with(name), settings.max_tokens)
        modalities[name] = _measured(inputs, processor)
    if not with_images:
        return Catalogue(modalities, None, content.counts())
    items = select_training_items(content, processor, settings)
    sides = [_measured(inputs, processor) for inputs in (items.image, items.text)]
    plan = StepBatches(items.train, settings.batch_size, min(settings.steps, MAX_STEPS), settings.seed)
    batches = [plan[step] for step in range(len(plan))]
    groups = backbone.text_groups(settings.text_groups)
    return Catalogue(modalities, Training(sides, items.held_out, batches, groups), content.counts())


def _measured(inputs: Inputs, processor: Processor) -> Measured:
    return Measured(inputs.rendered, inputs.sizes, np.array(inputs.lengths(processor), dtype=np.int64))


def equal_items(settings: LVLMSettings, backbone: Backbone, n_items: int, text_tokens: int) -> Catalogue:
    """Return ``n_items`` equal items: a square image of ``max_pixels``, and a text of ``text_tokens`` tokens or slightly fewer.

    Raises:
        InputError: there are too few items for one batch and the evaluation.
    """
    processor = backbone.processor
    text = _text_of(processor, text_tokens)
    side = math.isqrt(settings.max_pixels)
    assert settings.image_prompt is not None  # the embedder's
    prompt = processor.shorten(settings.image_prompt, settings.max_tokens)
    size, rendered = (side, side), {"image": processor.render(prompt, True), "text": text}
    modalities = {}
    for name in backbone.modalities:
        shown = size if name == "image" else None
        lengths = np.full(n_items, processor.length(rendered[name], shown))
        modalities[name] = Measured([rendered[name]] * n_items, None if shown is None else [size] * n_items, lengths)
    counts = {"items": n_items, **dict.fromkeys(backbone.modalities, n_items)}
    if "image" not in modalities:
        return Catalogue(modalities, None, counts)
    n_held_out = max(MIN_HELD_OUT, min(MAX_HELD_OUT, round(settings.held_out * n_items)))
    if n_items < n_held_out + settings.batch_size:
        raise InputError(
            f"n_items={n_items}: {n_held_out + settings.batch_size} are needed, {n_held_out} held out for evaluation and "
            f"batch_size={settings.batch_size}"
        )
    batch = np.arange(n_held_out, n_held_out + settings.batch_size)  # those of all steps are alike
    groups = backbone.text_groups(settings.text_groups)
    training = Training([modalities["image"], modalities["text"]], np.arange(n_held_out), [batch], groups)
    return Catalogue(modalities, training, counts)


def _text_of(processor: Processor, n_tokens: int) -> str:
    """Return a rendered prompt of at most ``n_tokens`` tokens, and of more only if the chat template alone has more."""
    low, high = 1, max(n_tokens, 1)
    while low < high:  # the length grows with the number of words
        middle = (low + high + 1) // 2
        longer = processor.length(processor.render(" ".join(["x"] * middle), False)) > n_tokens
        low, high = (low, middle - 1) if longer else (middle, high)
    return processor.render(" ".join(["x"] * low), False)


def mean_length(lengths: Union[np.ndarray, Sequence[int]]) -> float:
    """Return the mean number of tokens, rounded to two places."""
    return round(float(np.mean(lengths)), 2)
