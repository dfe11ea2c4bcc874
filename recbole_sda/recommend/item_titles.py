"""Titles and images of items, for people who read recommendations."""

import io
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from recbole_sda.errors import InputError, nearest
from recbole_sda.features.items_file import field_text, read_items
from recbole_sda.io.atomic_table import read_atomic
from recbole_sda.io.html import data_url
from recbole_sda.io.ids import id_text
from recbole_sda.io.images import UnreadableImage, read_rgb

THUMBNAIL = 112  # pixels of the longer side
TITLES = ("title", "name")  # fields that are taken for the title, in this order


class Item(NamedTuple):
    """What people see of an item; either part may be missing.

    Attributes:
        title: its title.
        image: path of its image file.
    """

    title: Optional[str]
    image: Optional[Path]


class ItemRows(NamedTuple):
    """What a file has of items.

    Attributes:
        path: the file.
        rows: external item id -> fields.
    """

    path: Path
    rows: Dict[str, Dict[str, Any]]


def read_rows(
    folder: Path, dataset: str, items_file: Optional[str] = None, id_field: str = "item_id"
) -> Optional[ItemRows]:
    """Return the rows of a data set's items; None where no file has any. See :func:`read_titles`."""
    path = Path(items_file) if items_file else folder / "items.jsonl"
    if items_file or path.exists():
        return ItemRows(path, {row["item_id"]: row for row in read_items(path)})
    path = folder / f"{dataset}.item"
    rows = _read_item_rows(path) if path.exists() else []
    if not rows or id_field not in rows[0]:
        return None
    return ItemRows(path, {id_text(row[id_field]): row for row in rows})


def read_titles(
    folder: Path,
    dataset: str,
    items_file: Optional[str] = None,
    id_field: str = "item_id",
    title_field: Optional[str] = None,
) -> Dict[str, Item]:
    """Return titles and images: external item id -> item.

    Args:
        folder: folder of the data set.
        dataset: its name.
        items_file: an items.jsonl with titles and images; None: that of the folder, or else its ``.item`` file.
        id_field: column of item ids in the ``.item`` file; a file without it gives no items.
        title_field: field of the titles; None: ``title``, or else ``name``.

    Raises:
        InputError: the items file is malformed, or no item has the field ``title_field``.
    """
    found = read_rows(folder, dataset, items_file, id_field)
    if found is None:
        return {}
    path, rows = found.path, list(found.rows.values())
    title = _title_field(rows, title_field, path)
    images = [path.parent / row["image"] if row.get("image") else None for row in rows]
    texts = [field_text(row.get(title)).strip() or None for row in rows]
    return {token: Item(text, image) for token, text, image in zip(found.rows, texts, images)}


def _read_item_rows(path: Path) -> List[Dict[str, Any]]:
    """Return the rows of an ``.item`` file as texts, by the names of its columns without their types."""
    return read_atomic(path).to_dict("records")


def _title_field(rows: List[Dict[str, Any]], given: Optional[str], path: Path) -> str:
    """Return the name of the field that holds titles."""
    known = dict.fromkeys(name for row in rows for name in row)
    if given is not None and given not in known:
        raise InputError(
            f"{path}: no item has the field {given!r}; there are {', '.join(known)}.{nearest(given, known)}"
        )
    return given or next((name for name in TITLES if name in known), TITLES[0])


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
    return data_url("image/jpeg", buffer.getvalue())
