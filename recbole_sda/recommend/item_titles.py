"""Titles and images of items, for people who read recommendations."""

import base64
import io
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional

import pandas as pd

from recbole_sda.features.extract import read_items
from recbole_sda.io.images import UnreadableImage, read_rgb

THUMBNAIL = 112  # pixels of the longer side


class Item(NamedTuple):
    """What people see of an item; either part may be missing.

    Attributes:
        title: its title.
        image: path of its image file.
    """

    title: Optional[str]
    image: Optional[Path]


def read_titles(
    folder: Path, dataset: str, items_file: Optional[str] = None, id_field: str = "item_id"
) -> Dict[str, Item]:
    """Return titles and images: external item id -> item.

    Args:
        folder: folder of the data set.
        dataset: its name.
        items_file: an items.jsonl with titles and images; None: that of the folder, or else its ``.item`` file.
        id_field: column of item ids in the ``.item`` file; a file without it gives no items.
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


def _text(value: Any) -> Optional[str]:
    return str(value).strip() or None if value is not None else None


def thumbnail(path: Optional[Path]) -> Optional[str]:
    """Return a small version of an image as a data URL; None where the file is missing or is no readable image."""
    if path is None or not path.is_file():
        return None
    try:
        small = read_rgb(path, draft=THUMBNAIL)
    except UnreadableImage:
        return None
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
