"""The items file (``items.jsonl``): ids, texts and image paths of a catalogue, one JSON object per line."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

from recbole_sda.errors import InputError
from recbole_sda.io.ids import id_of, is_missing
from recbole_sda.io.json import parse_json
from recbole_sda.io.regular_file import regular_file
from recbole_sda.io.text import read_lines, replace_lone_surrogates

NON_TEXT_FIELDS = ("item_id", "image")


def read_items(path: Union[str, Path]) -> List[Dict[str, Any]]:
    """Read an items file: one JSON object per line with ``item_id``, optionally ``image``, and text fields.

    ``image`` is a path relative to the file's directory, or null. A field may be whatever :func:`field_text` reads.

    Returns:
        The objects. ``item_id`` is a text (see :func:`recbole_sda.io.ids.id_of`), ``image`` a text or None.

    Raises:
        InputError: the file is missing or empty, a line is not a JSON object, an id is missing, is none or occurs twice, or an
            ``image`` is not a path.
    """
    path = Path(path)
    regular_file(path, "items file")
    items: Dict[str, Dict[str, Any]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        item = _read_item(line, where)
        if item["item_id"] in items:
            raise InputError(f"{where}: item_id {item['item_id']!r} occurs more than once")
        items[item["item_id"]] = item
    if not items:
        raise InputError(f"{path} holds no items")
    return list(items.values())


def _read_item(line: str, where: str) -> Dict[str, Any]:
    item = parse_json(line, where, missing_numbers=True)
    if not isinstance(item, dict) or "item_id" not in item:
        raise InputError(f"{where}: expected an object with an 'item_id'")
    item = replace_lone_surrogates(item, line)
    return {**item, "item_id": id_of(item["item_id"], where), "image": _image(item.get("image"), where)}


def _image(value: Any, where: str) -> Optional[str]:
    if is_missing(value) or value == "":
        return None
    if not isinstance(value, str):
        raise InputError(f"{where}: image={str(value)[:80]}: expected the path of one image file, or null")
    if value.startswith(("http://", "https://")):
        raise InputError(
            f"{where}: image={value[:80]}: expected the path of a file; `python -m dataset_prep table` fetches images"
        )
    return value


def field_text(value: Any) -> str:
    """Return the value of a text field as a text.

    Args:
        value: a text, a number, a list, or an object. Null and NaN are an empty text.

    Example:
        >>> field_text(["a", None, 2.5]), field_text({"Colour": "red", "Size": [1, 2]}), field_text(float("nan"))
        ('a, 2.5', 'Colour: red, Size: 1, 2', '')
    """
    if isinstance(value, dict):
        value = [f"{name}: {text}" for name, text in ((n, field_text(v)) for n, v in value.items()) if text]
    if isinstance(value, (list, tuple)):
        return ", ".join(filter(None, map(field_text, value)))
    return "" if is_missing(value) else str(value)


def item_text(item: Dict[str, Any], fields: Sequence[str]) -> str:
    """Return the item's text fields, one per line; missing and empty fields are left out."""
    return "\n".join(filter(None, (field_text(item.get(name)) for name in fields)))
