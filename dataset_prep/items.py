"""Items as every later stage reads them: an id, text fields, and the sources of an image."""

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, List, Optional, Set

from dataset_prep.html_text import clean, is_code
from dataset_prep.prices import is_no_price, price_of
from dataset_prep.problems import Problems
from recbole_sda.io.ids import optional_id


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


def text_without_code(value: Any, where: str, problems: Problems) -> str:
    """Return :func:`clean` of a value; an empty text, counted, where program code or a style sheet is in its place."""
    text = clean(value)
    if is_code(text):
        problems.add("program code instead of a text", where, text)
        return ""
    return text


def price_field(value: Any, where: str, problems: Problems) -> Optional[float]:
    """Return a price as a number; None where there is none, counted where it cannot be read."""
    price = price_of(value)
    if price is None and not is_no_price(value):
        problems.add("price that cannot be read", where, str(value))
    return price


def names_in(value: Any) -> List[str]:
    """Return the distinct names in a list, or in nested lists, in order."""
    flat: List[str] = []
    for part in value if isinstance(value, (list, tuple)) else [value]:
        flat += names_in(part) if isinstance(part, (list, tuple)) else [clean(part)]
    return list(dict.fromkeys(filter(None, flat)))


def gather(
    records: Iterable[Dict[str, Any]],
    wanted: Set[str],
    id_field: str,
    read: Callable[[str, Dict[str, Any]], Item],
    problems: Problems,
    where: str,
    others: bool = False,
) -> Dict[str, Item]:
    """Return the wanted items by id, or, with ``others``, all items. Of several records of one id the first is used.

    Only these items are read and held in memory.

    Args:
        records: of the metadata file, any number.
        wanted: ids that occur in interactions.
        id_field: field of the id.
        read: id and record -> item.
        problems: counts records without an id, repeated ids, and wanted ids without a record.
        where: name of the file, for messages.
        others: whether items that occur in no interaction are returned too.

    Raises:
        InputError: an id is of another type than a text or a whole number.
    """
    items: Dict[str, Item] = {}
    for number, record in enumerate(records, start=1):
        item_id = optional_id(record.get(id_field), f"{where}, record {number}, {id_field}")
        if item_id is None:
            problems.add("item without an id", f"{where}, record {number}", str(record))
        elif item_id in items:
            problems.add("repeated item", item_id)
        elif others or item_id in wanted:
            items[item_id] = read(item_id, record)
    for token in sorted(wanted - set(items)):
        problems.add("item without metadata", token)
    return items
