"""Values of the items' fields, such as categories, for requests that ask for items with one of them."""

from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy as np

from recbole_sda.config.run_config import columns_of
from recbole_sda.errors import InputError, nearest
from recbole_sda.features.items_file import field_text
from recbole_sda.recommend.item_titles import ItemRows

Field = Dict[str, np.ndarray]  # value -> columns of the items that have it, ascending


def item_fields(
    names: Sequence[str], sources: Sequence[ItemRows], column_of: Dict[str, int], separator: str = " "
) -> Dict[str, Field]:
    """Return the values of fields, by field.

    A list of an ``items.jsonl`` has several values, as has a column of the type ``token_seq`` of an ``.item`` file; every other
    value is one.

    Args:
        names: the fields.
        sources: rows of the items; of an item that is in several, the values of all count.
        column_of: external item id -> column of scores. Other items are left out.
        separator: between the values of a ``token_seq``, RecBole's ``seq_separator``.

    Raises:
        InputError: there is no file of items, or no item has a field of this name.

    Example:
        >>> rows = {"i1": {"kind": ["red", "old"]}, "i2": {"kind": "old"}}
        >>> kinds = item_fields(["kind"], [ItemRows(Path("items.jsonl"), rows)], {"i1": 1, "i2": 2})["kind"]
        >>> {value: columns.tolist() for value, columns in kinds.items()}
        {'red': [1], 'old': [1, 2]}
    """
    if names and not sources:
        raise InputError(f"--filter-fields={names[0]}: the data set has no file of items; --items names one")
    splits = [_sequences(source.path, separator) for source in sources]
    found: Dict[str, Field] = {}
    for name in names:
        known = dict.fromkeys(field for source in sources for row in source.rows.values() for field in row)
        if name not in known:
            where = " and ".join(str(source.path) for source in sources)
            raise InputError(
                f"--filter-fields={name}: no item of {where} has this field; there are {', '.join(known)}.{nearest(name, known)}"
            )
        columns: Dict[str, List[int]] = {}
        for source, split in zip(sources, splits):
            for token, row in source.rows.items():
                if token in column_of:
                    for value in _values(row.get(name), split.get(name)):
                        columns.setdefault(value, []).append(column_of[token])
        found[name] = {value: np.unique(rows) for value, rows in columns.items()}
    return found


def _sequences(path: Path, separator: str) -> Dict[str, str]:
    """Return the separator of each column of an ``.item`` file that holds several values; empty for other files."""
    if path.suffix != ".item":
        return {}
    return {name: separator for name, kind in columns_of(path, "\t", "utf-8-sig").items() if kind.endswith("_seq")}


def _values(value: Any, separator: Optional[str]) -> Iterator[str]:
    parts = value.split(separator) if separator else value if isinstance(value, (list, tuple)) else [value]
    yield from filter(None, (field_text(part).strip() for part in parts))
