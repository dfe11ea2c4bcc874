"""Titles and pictures of items, for those who read recommendations."""

import base64
import io
from pathlib import Path
from typing import Dict, NamedTuple, Optional

import pandas as pd
from PIL import Image, UnidentifiedImageError

from recbole_sda.features.extract import read_items
from recbole_sda.io.images import to_upright_rgb

THUMBNAIL = 112  # pixels of the longer side


class Item(NamedTuple):
    """What is shown of an item; either may be missing."""

    title: Optional[str]
    image: Optional[Path]


def read_titles(
    folder: Path, dataset: str, items_file: Optional[str] = None, id_field: str = "item_id"
) -> Dict[str, Item]:
    """Return title and picture by external item id.

    Args:
        folder: the data set's.
        dataset: its name.
        items_file: an items.jsonl with titles and pictures; None takes the folder's, or else titles of the ``.item`` file.
        id_field: column of item ids in the ``.item`` file; without it there are no titles.
    """
    path = Path(items_file) if items_file else folder / "items.jsonl"
    if items_file or path.is_file():
        return {
            str(item["item_id"]): Item(
                _text(item.get("title")), path.parent / item["image"] if item.get("image") else None
            )
            for item in read_items(path)
        }
    path = folder / f"{dataset}.item"
    if not path.is_file():
        return {}
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=3)
    table.columns = [name.partition(":")[0] for name in table.columns]
    if id_field not in table:
        return {}
    titles = table["title"] if "title" in table else [""] * len(table)
    images = table["image"] if "image" in table else [""] * len(table)
    return {
        token: Item(_text(title), folder / image if image else None)
        for token, title, image in zip(table[id_field], titles, images)
    }


def _text(value) -> Optional[str]:
    return str(value).strip() or None if value is not None else None


def thumbnail(path: Optional[Path]) -> Optional[str]:
    """Return a small picture as a data address, None where there is none that can be read."""
    if path is None or not path.is_file():
        return None
    try:
        with Image.open(path) as image:
            image.draft("RGB", (THUMBNAIL, THUMBNAIL))
            small = to_upright_rgb(image)
            small.thumbnail((THUMBNAIL, THUMBNAIL))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
