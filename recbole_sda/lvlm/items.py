"""The catalogue as the LVLM stage sees it: prompts and pictures of each item, and what is missing."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

from PIL import Image, UnidentifiedImageError

from recbole_sda.errors import InputError
from recbole_sda.features.extract import NOT_TEXT, read_items
from recbole_sda.io.images import upright_size
from recbole_sda.lvlm.prompts import Prompt
from recbole_sda.lvlm.settings import LVLMSettings

logger = logging.getLogger(__name__)

Size = Tuple[int, int]
THINNEST = 199  # Qwen's processors refuse pictures beyond


@dataclass
class Catalogue:
    """Items in the order of their file.

    Attributes:
        ids: external item tokens, (n_items,).
        texts: prompt of the text pass; empty where the item has no text.
        picture_texts: prompt beside the picture.
        pictures: path of each picture, or None where it is missing or cannot be read.
        sizes: (width, height) of each picture, or None.
        failures: (item id, reason) of the pictures that cannot be read.
    """

    ids: List[str]
    texts: List[str]
    picture_texts: List[str]
    pictures: List[Optional[Path]]
    sizes: List[Optional[Size]]
    failures: List[Tuple[str, str]]

    def having(self, modality: str) -> List[int]:
        """Return the positions of the items that have a modality, ``image`` or ``text``."""
        there = self.pictures if modality == "image" else self.texts
        return [k for k, value in enumerate(there) if value]

    def counts(self) -> Dict[str, int]:
        """Return how many items there are, with each modality, with both, and with an unreadable picture."""
        images, texts = set(self.having("image")), set(self.having("text"))
        return {
            "items": len(self.ids),
            "image": len(images),
            "text": len(texts),
            "both": len(images & texts),
            "unreadable_pictures": len(self.failures),
        }


def picture_size(path: Path) -> Union[Size, str]:
    """Return the size of a picture that can be decoded to its end, or the reason why it cannot."""
    try:
        with Image.open(path) as image:
            size = upright_size(image)
            image.draft("RGB", (64, 64))  # JPEG: decoded at a fraction of its size, but to its end
            image.load()
        if max(size) > THINNEST * min(size):
            return f"{path}: {size[0]} x {size[1]} pixels, and a picture may be {THINNEST} times as long as wide"
        return size
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"{path}: {error}" if str(path) not in str(error) else str(error)


def read_catalogue(settings: LVLMSettings, with_images: bool = True) -> Catalogue:
    """Read the items file, make the prompts and try every picture.

    Args:
        settings: of the stage.
        with_images: False leaves pictures out, for models that read text alone.

    Raises:
        InputError: the items file is missing or broken, an id stands twice, a prompt names an unknown field.
    """
    if not settings.items:
        raise InputError("items is missing: give --items=dataset/<name>/items.jsonl")
    items = read_items(settings.items)
    ids = [str(item["item_id"]) for item in items]
    if len(set(ids)) < len(ids):
        twice = next(token for k, token in enumerate(ids) if token in ids[:k])
        raise InputError(f"{settings.items}: item_id {twice!r} stands twice")
    fields = list(dict.fromkeys(name for item in items for name in item if name not in NOT_TEXT))
    text = Prompt(settings.text_prompt, fields, settings.field_words)
    beside = Prompt(settings.image_prompt, fields, settings.field_words)
    folder = Path(settings.items).parent
    paths = [folder / item["image"] if with_images and item.get("image") else None for item in items]
    there = [k for k, path in enumerate(paths) if path is not None]
    with ThreadPoolExecutor(max(settings.workers, 1)) as pool:
        found = dict(zip(there, pool.map(picture_size, [paths[k] for k in there])))
    failures = [(ids[k], found[k]) for k in there if isinstance(found[k], str)]
    sizes = [found[k] if not isinstance(found.get(k), (str, type(None))) else None for k in range(len(items))]
    for _, reason in failures[:5]:
        logger.warning("unreadable picture, counted as missing: %s", reason)
    if len(failures) > 5:
        logger.warning("... and %d more", len(failures) - 5)
    pictures = [path if size else None for path, size in zip(paths, sizes)]
    return Catalogue(ids, [text(item) for item in items], [beside(item) for item in items], pictures, sizes, failures)
