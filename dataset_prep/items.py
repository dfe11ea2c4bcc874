"""Items as every later stage takes them: an id, texts, and where their pictures are."""

import html
import re
from typing import Any, Callable, Dict, Iterable, List, Optional, Set

from dataset_prep.problems import Problems

TAG = re.compile(r"<[^<>]{1,300}>")
NUMBER = re.compile(r"\d[\d.,]*")

Item = Dict[str, Any]


def clean(value: Any) -> str:
    """Return a text without HTML and line breaks; lists are joined by blanks, nothing is an empty text."""
    if isinstance(value, (list, tuple)):
        return " ".join(filter(None, map(clean, value)))
    if value is None or isinstance(value, dict) or value != value:
        return ""
    return " ".join(TAG.sub(" ", html.unescape(str(value))).split())


def price_of(value: Any) -> Optional[float]:
    """Return the first number of a price such as ``$1,299.00 - $1,500.00`` or ``1.299,00 €``; None where there is none.

    The last of both separators is the decimal one; a comma alone is it before one or two digits, a dot alone where it is one.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if value == value else None
    found = NUMBER.search(str(value or ""))
    return _number(found.group().rstrip(".,")) if found else None


def _number(text: str) -> float:
    comma, dot = text.rfind(","), text.rfind(".")
    decimal = max(comma, dot)
    if dot < 0 and (text.count(",") > 1 or len(text) - comma > 3) or comma < 0 and text.count(".") > 1:
        decimal = -1  # all of them part thousands
    whole, part = (text, "0") if decimal < 0 else (text[:decimal], text[decimal + 1 :])
    return float(f"{re.sub('[.,]', '', whole)}.{part}")


def names_in(value: Any) -> List[str]:
    """Return the names in a list, or in a list of lists, each once, in order."""
    flat: List[str] = []
    for part in value if isinstance(value, (list, tuple)) else [value]:
        flat += names_in(part) if isinstance(part, (list, tuple)) else [clean(part)]
    return list(dict.fromkeys(filter(None, flat)))


def gather(
    records: Iterable[dict], wanted: Set[str], read: Callable[[dict], Optional[Item]], problems: Problems
) -> Dict[str, Item]:
    """Return the items that are wanted, by id, in bounded memory; the first record of an id counts.

    Args:
        records: of the metadata file, of any length.
        wanted: ids that interactions have.
        read: record -> item with ``item_id``, or None.
        problems: where broken and repeated records are counted, and wanted ids without a record.
    """
    found: Dict[str, Item] = {}
    for number, record in enumerate(records, start=1):
        item = read(record)
        if item is None:
            problems.add("item without an id", f"record {number}", str(record))
        elif item["item_id"] in found:
            problems.add("item twice", item["item_id"])
        elif item["item_id"] in wanted:
            found[item["item_id"]] = item
    for token in sorted(wanted - set(found)):
        problems.add("item without metadata", token)
    return found
