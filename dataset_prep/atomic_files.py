"""RecBole's atomic files (.inter, .item, benchmark files) and items.jsonl. The same input gives the same bytes."""

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from dataset_prep.interactions import Interactions
from dataset_prep.items import Item
from dataset_prep.splits import PARTS
from recbole_sda.io.atomic_write import write_lines

Column = Tuple[str, str]  # name and RecBole's type


def write_inter(path: Path, data: Interactions, part: Optional[np.ndarray] = None) -> None:
    """Write interactions as an atomic file, with a column of ratings if there are any.

    Args:
        path: the file.
        data: the interactions.
        part: of each, a position in ``PARTS``; written as the column ``part``, which a run takes as its split.
    """
    write_lines(path, _inter_lines(data, part))


def write_items(
    folder: Path,
    name: str,
    tokens: Sequence[str],
    items: Mapping[str, Item],
    columns: Sequence[Column],
    new: Sequence[str] = (),
) -> None:
    """Write ``<name>.item`` and ``items.jsonl``, with one line per item of ``tokens``, in their order.

    A line of ``items.jsonl`` has the fields that are not empty and ``image``, a path relative to the folder, or null.

    Args:
        folder: of the data set.
        name: of the data set.
        tokens: of the items; one that is not in ``items`` has no fields.
        items: id -> item.
        new: tokens of further items, which ``items.jsonl`` alone gets.
        columns: the fields to write, in order.
    """
    chosen = [items.get(token) or Item(token) for token in tokens]
    write_lines(folder / f"{name}.item", _item_lines(chosen, columns))
    write_lines(folder / "items.jsonl", _json_lines([*chosen, *(items[token] for token in new)], columns))


def write_split(folder: Path, name: str, data: Interactions, part: np.ndarray) -> List[str]:
    """Write the parts of a split as RecBole's benchmark files; return their names for ``benchmark_filename``.

    Args:
        folder: of the data set.
        name: of the data set.
        data: all interactions.
        part: of each interaction, a position in ``PARTS``.
    """
    for number, label in enumerate(PARTS):
        write_inter(folder / f"{name}.{label}.inter", data.take(part == number))
    return list(PARTS)


def _inter_lines(data: Interactions, part: Optional[np.ndarray]) -> Iterator[str]:
    rated = bool((~np.isnan(data.rating)).any())
    parted = part is not None
    yield (
        "user_id:token\titem_id:token" + "\trating:float" * rated + "\ttimestamp:float" + "\tpart:token" * parted + "\n"
    )
    users, items = data.users, data.items
    labels = [""] * len(data) if part is None else [f"\t{PARTS[k]}" for k in part.tolist()]
    columns = (data.user.tolist(), data.item.tolist(), data.rating.tolist(), data.time.tolist(), labels)
    for u, i, r, t, label in zip(*columns):
        rating = "" if not rated else "\t" if r != r else f"\t{r:g}"
        yield f"{users[u]}\t{items[i]}{rating}\t{int(t) if t.is_integer() else t}{label}\n"


def _item_lines(items: Sequence[Item], columns: Sequence[Column]) -> Iterator[str]:
    yield "\t".join(["item_id:token", *(f"{column}:{kind}" for column, kind in columns)]) + "\n"
    for item in items:
        yield "\t".join([item.item_id, *(_cell(item.fields.get(column), kind) for column, kind in columns)]) + "\n"


def _json_lines(items: Sequence[Item], columns: Sequence[Column]) -> Iterator[str]:
    for item in items:
        values: Dict[str, Any] = {column: item.fields.get(column) for column, _ in columns}
        given = {column: value for column, value in values.items() if value not in (None, "", [])}
        yield json.dumps({"item_id": item.item_id, **given, "image": item.image}, ensure_ascii=False) + "\n"


def _cell(value: Any, kind: str) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, list):  # RecBole splits a sequence at blanks
        return " ".join(part.replace(" ", "_") for part in value)
    return f"{value:g}" if kind == "float" else str(value)
