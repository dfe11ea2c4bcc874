"""The items that the LVLM stage reads: the prompts, image path and image size of each item of an items file."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

from recbole_sda.errors import InputError
from recbole_sda.features.items_file import NON_TEXT_FIELDS, read_items
from recbole_sda.io.images import UnreadableImage, open_image, to_upright_rgb, upright_size
from recbole_sda.lvlm.embedders import IMAGE_PROMPT
from recbole_sda.lvlm.prompts import Prompt
from recbole_sda.lvlm.settings import LVLMSettings

logger = logging.getLogger(__name__)

Size = Tuple[int, int]  # width and height of an image in pixels
MAX_ASPECT_RATIO = 199  # Qwen's processors refuse images with a larger one
MAX_LOGGED = 5  # unreadable images that are logged one by one


@dataclass
class ItemContent:
    """Texts and images of all items, in the order of the items file.

    Attributes:
        ids: external item tokens, (n_items,).
        text_prompts: prompt of the text pass; empty where the item has no text.
        image_prompts: prompt that accompanies the image in the image pass.
        images: path of each image; None where the item has none or it cannot be read.
        sizes: (width, height) of each image in pixels, or None.
        unreadable: (item token, reason) for each image that cannot be read.
    """

    ids: List[str]
    text_prompts: List[str]
    image_prompts: List[str]
    images: List[Optional[Path]]
    sizes: List[Optional[Size]]
    unreadable: List[Tuple[str, str]]

    def positions_with(self, modality: str) -> List[int]:
        """Return the positions of the items that have a modality, ``image`` or ``text``."""
        values = self.images if modality == "image" else self.text_prompts
        return [k for k, value in enumerate(values) if value]

    def counts(self) -> Dict[str, int]:
        """Return the numbers of items: all, with each modality, with both, and with an unreadable image."""
        images, texts = set(self.positions_with("image")), set(self.positions_with("text"))
        return {
            "items": len(self.ids),
            "image": len(images),
            "text": len(texts),
            "both": len(images & texts),
            "unreadable_images": len(self.unreadable),
        }


def image_size(path: Path) -> Union[Size, str]:
    """Return the size of an image that can be decoded completely, or the reason why it cannot be used."""
    try:
        with open_image(path) as image:
            size = upright_size(image)
            image.draft("RGB", (64, 64))  # JPEG: decodes the complete file at a fraction of its resolution
            to_upright_rgb(image)
    except UnreadableImage as error:
        return str(error)
    if max(size) > MAX_ASPECT_RATIO * min(size):
        return f"{path}: {size[0]} x {size[1]} pixels; the aspect ratio of an image is at most {MAX_ASPECT_RATIO}"
    return size


def read_item_content(settings: LVLMSettings, with_images: bool = True) -> ItemContent:
    """Read the items file, fill in the prompts and decode every image once to find unreadable ones.

    Args:
        settings: settings of the stage.
        with_images: False ignores images, for models that read text only.

    Raises:
        InputError: the items file is missing or malformed, an item id occurs twice, or a prompt names an unknown field.
    """
    if not settings.items:
        raise InputError("items is missing: give --items=dataset/<name>/items.jsonl")
    items = read_items(settings.items)
    ids = [item["item_id"] for item in items]
    fields = list(dict.fromkeys(name for item in items for name in item if name not in NON_TEXT_FIELDS))
    text_prompt = Prompt(settings.text_prompt, fields, settings.field_words, "text_prompt")
    image_text = IMAGE_PROMPT if settings.image_prompt is None else settings.image_prompt
    image_prompt = Prompt(image_text, fields, settings.field_words, "image_prompt")
    folder = Path(settings.items).parent
    paths = [folder / item["image"] if with_images and item["image"] else None for item in items]
    sizes, unreadable = _image_sizes(ids, paths, settings.workers)
    return ItemContent(
        ids,
        [text_prompt(item) for item in items],
        [image_prompt(item) for item in items],
        [path if size else None for path, size in zip(paths, sizes)],
        sizes,
        unreadable,
    )


def _image_sizes(
    ids: List[str], paths: List[Optional[Path]], workers: int
) -> Tuple[List[Optional[Size]], List[Tuple[str, str]]]:
    """Return the size of each readable image, None for other items, and (item token, reason) of the unreadable ones."""
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        results = list(pool.map(lambda path: None if path is None else image_size(path), paths))
    unreadable = [(token, result) for token, result in zip(ids, results) if isinstance(result, str)]
    for _, reason in unreadable[:MAX_LOGGED]:
        logger.warning("unreadable image, counted as missing: %s", reason)
    if len(unreadable) > MAX_LOGGED:
        logger.warning("... and %d more", len(unreadable) - MAX_LOGGED)
    return [None if isinstance(result, str) else result for result in results], unreadable
