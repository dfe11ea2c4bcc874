"""Items as every later stage reads them: an id, text fields, and the sources of an image."""

import html
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, List, Optional, Set

from dataset_prep.problems import Problems

TAG = re.compile(r"<[^<>]{1,300}>")
NUMBER = re.compile(r"\d[\d.,]*")


@dataclass
class Item:
    """An item of the catalogue.

    Attributes:
        item_id: its token.
        fields: text fields by name: strings, lists of strings, or numbers.
        image_sources: addresses or paths of its image, best first.
        image: path of the fetched image relative to the data set's folder; None where there is none.
    """

    item_id: str
    fields: Dict[str, Any] = field(default_factory=dict)
    image_sources: List[str] = field(default_factory=list)
    image: Optional[str] = None


def clean(value: Any) -> str:
    """Return a text without HTML and line breaks. Lists are joined by blanks; a missing value is an empty text."""
    if isinstance(value, (list, tuple)):
        return " ".join(filter(None, map(clean, value)))
    if value is None or isinstance(value, dict) or value != value:
        return ""
    return " ".join(TAG.sub(" ", html.unescape(str(value))).split())


def price_of(value: Any) -> Optional[float]:
    """Return the first number of a price such as ``$1,299.00 - $1,500.00`` or ``1.299,00 €``; None where there is none.

    If both separators occur, the last one is the decimal one. A comma alone is decimal before one or two digits; a dot
    alone is decimal if it occurs once.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if value == value else None
    match = NUMBER.search(str(value or ""))
    return _number(match.group().rstrip(".,")) if match else None


def _number(text: str) -> float:
    comma, dot = text.rfind(","), text.rfind(".")
    decimal = max(comma, dot)
    if dot < 0 and (text.count(",") > 1 or len(text) - comma > 3) or comma < 0 and text.count(".") > 1:
        decimal = -1  # all of them separate thousands
    integer, fraction = (text, "0") if decimal < 0 else (text[:decimal], text[decimal + 1 :])
    return float(f"{re.sub('[.,]', '', integer)}.{fraction}")


def names_in(value: Any) -> List[str]:
    """Return the distinct names in a list, or in nested lists, in order."""
    flat: List[str] = []
    for part in value if isinstance(value, (list, tuple)) else [value]:
        flat += names_in(part) if isinstance(part, (list, tuple)) else [clean(part)]
    return list(dict.fromkeys(filter(None, flat)))


def gather(
    records: Iterable[Dict[str, Any]],
    wanted: Set[str],
    read: Callable[[Dict[str, Any]], Optional[Item]],
    problems: Problems,
    others: bool = False,
) -> Dict[str, Item]:
    """Return the wanted items by id, or, with ``others``, all items. Of several records of one id the first is used.

    Only these items are held in memory.

    Args:
        records: of the metadata file, any number.
        wanted: ids that occur in interactions.
        read: record -> item, or None for a record without an id.
        problems: counts records without an id, repeated ids, and wanted ids without a record.
        others: whether items that occur in no interaction are returned too.
    """
    items: Dict[str, Item] = {}
    for number, record in enumerate(records, start=1):
        item = read(record)
        if item is None:
            problems.add("item without an id", f"record {number}", str(record))
        elif item.item_id in items:
            problems.add("repeated item", item.item_id)
        elif others or item.item_id in wanted:
            items[item.item_id] = item
    for token in sorted(wanted - set(items)):
        problems.add("item without metadata", token)
    return items
