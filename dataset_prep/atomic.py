"""The files of a prepared data set: RecBole's atomic files, items.jsonl, dataset.json. The same input gives the same bytes."""

import hashlib
import json
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from dataset_prep.interactions import Interactions
from dataset_prep.items import Item
from dataset_prep.splits import PARTS
from recbole_sda.io.atomic_write import write_lines

RECORD, UNFINISHED = "dataset.json", ".unfinished"
Column = Tuple[str, str]  # name and RecBole's type


def write_inter(path: Path, data: Interactions) -> None:
    """Write interactions as an atomic file; ratings stand in it where there are any."""
    rated = bool((~np.isnan(data.rating)).any())
    header = "user_id:token\titem_id:token" + "\trating:float" * rated + "\ttimestamp:float\n"

    def lines():
        yield header
        users, items = data.users, data.items
        for u, i, r, t in zip(data.user.tolist(), data.item.tolist(), data.rating.tolist(), data.time.tolist()):
            rating = "" if not rated else "\t" if r != r else f"\t{r:g}"
            yield f"{users[u]}\t{items[i]}{rating}\t{int(t) if t.is_integer() else t}\n"

    write_lines(path, lines())


def write_items(
    folder: Path, name: str, tokens: Sequence[str], items: Dict[str, Item], columns: Sequence[Column]
) -> None:
    """Write ``<name>.item`` and ``items.jsonl``, one line per item of ``tokens``, in their order.

    An item of the jsonl has its fields that are not empty and ``image``, a path relative to the folder, or null.
    """

    def rows():
        yield "\t".join(["item_id:token", *(f"{column}:{kind}" for column, kind in columns)]) + "\n"
        for token in tokens:
            item = items.get(token, {})
            yield "\t".join([token, *(_cell(item.get(column), kind) for column, kind in columns)]) + "\n"

    def lines():
        for token in tokens:
            item = items.get(token, {})
            fields = {column: item[column] for column, _ in columns if item.get(column) not in (None, "", [])}
            yield json.dumps({"item_id": token, **fields, "image": item.get("image")}, ensure_ascii=False) + "\n"

    write_lines(folder / f"{name}.item", rows())
    write_lines(folder / "items.jsonl", lines())


def _cell(value: Any, kind: str) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, list):  # RecBole splits a sequence at blanks
        return " ".join(part.replace(" ", "_") for part in value)
    return f"{value:g}" if kind == "float" else str(value)


def write_split(folder: Path, name: str, data: Interactions, part: np.ndarray) -> List[str]:
    """Write the parts of a split as RecBole's benchmark files; return their names for ``benchmark_filename``."""
    for number, label in enumerate(PARTS):
        write_inter(folder / f"{name}.{label}.inter", data.take(part == number))
    return list(PARTS)


def sha256(path: Path) -> str:
    """Return a hash of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_record(folder: Path, record: Dict[str, Any], files: Iterable[str], pictures: Optional[Path] = None) -> None:
    """Write ``dataset.json``: the record, hashes of the files, and one of all pictures."""
    hashes = {file: sha256(folder / file) for file in files}
    if pictures is not None and pictures.is_dir():
        digest = hashlib.sha256()
        for path in sorted(p for p in pictures.iterdir() if not p.name.startswith(".") and p.suffix != ".jsonl"):
            digest.update(f"{path.name} {sha256(path)}\n".encode())
        hashes["images/"] = digest.hexdigest()
    write_lines(folder / RECORD, [json.dumps({**record, "sha256": hashes}, indent=2, ensure_ascii=False) + "\n"])
    (folder / UNFINISHED).unlink(missing_ok=True)
