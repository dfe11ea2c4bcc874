"""Recommendations as parquet, CSV, or a page to look at."""

import os
from itertools import islice
from pathlib import Path
from typing import Callable, Dict, Iterable, List

import pandas as pd
import pyarrow
import pyarrow.parquet

from recbole_sda.errors import InputError
from recbole_sda.io.html import write_html
from recbole_sda.recommend.item_titles import Item, thumbnail

FORMATS = (".parquet", ".csv", ".html")
MAX_SHOWN = 50  # users of a page
HISTORY_SHOWN = 6
TEXT = pyarrow.string()
TYPES = {"user_id": TEXT, "rank": pyarrow.int32(), "item_id": TEXT, "score": pyarrow.float32(), "new": pyarrow.bool_(),
         "title": TEXT, "image": TEXT}  # fmt: skip
PAGE = Path(__file__).with_name("page.html")


def check_out(path: Path) -> None:
    """Refuse a file whose ending says no known format."""
    if path.suffix not in FORMATS:
        raise InputError(f"--out={path}: expected a file that ends with {', '.join(FORMATS)}")


def with_titles(block: pd.DataFrame, items: Dict[str, Item]) -> pd.DataFrame:
    """Return recommendations with columns ``title`` and ``image`` (a path), where any item has them."""
    if not items:
        return block
    none = Item(None, None)
    found = [items.get(token, none) for token in block["item_id"]]
    images = [str(item.image) if item.image else None for item in found]
    return block.assign(title=pd.Series([item.title for item in found], index=block.index, dtype="str"),
                        image=pd.Series(images, index=block.index, dtype="str"))  # fmt: skip


def write_table(blocks: Iterable[pd.DataFrame], out: Path) -> int:
    """Write blocks to a parquet or CSV file as they come; return the number of lines. The file is there only when it is whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.part")
    n, writer = 0, None
    try:
        for block in blocks:
            if out.suffix == ".csv":
                block.to_csv(draft, mode="a" if n else "w", header=not n, index=False)
            else:
                # named types: a first block without any title would make the column one of nulls
                schema = pyarrow.schema([(name, TYPES[name]) for name in block.columns])
                writer = writer or pyarrow.parquet.ParquetWriter(draft, schema, compression="zstd")
                writer.write_table(pyarrow.Table.from_pandas(block, schema, preserve_index=False))
            n += len(block)
        if writer:
            writer.close()
        os.replace(draft, out)
    finally:
        draft.unlink(missing_ok=True)
    return n


def write_page(
    blocks: Iterable[pd.DataFrame],
    out: Path,
    items: Dict[str, Item],
    history: Callable[[str], List[str]],
    title: str,
    about: str,
) -> int:
    """Write a page with pictures inside, of the first users; return how many users it shows."""

    def shown(token: str, place: int = 0, new: bool = False) -> dict:
        item = items.get(token, Item(None, None))
        return {"title": item.title or token, "image": thumbnail(item.image), "place": place, "new": new}

    users = []
    by_user = (pair for block in blocks for pair in block.groupby("user_id", sort=False))
    for user, rows in islice(by_user, MAX_SHOWN):
        known = history(user)
        users.append(
            {
                "id": user,
                "n_history": len(known),
                "history": [shown(token) for token in known[-HISTORY_SHOWN:]],
                "top": [shown(row.item_id, row.rank, row.new) for row in rows.itertuples()],
            }
        )
    write_html(PAGE, out, users=users, title=title, about=about)
    return len(users)
