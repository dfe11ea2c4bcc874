"""Writing recommendations as a parquet or CSV table, or as an HTML page."""

from itertools import islice
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List

import pandas as pd
import pyarrow
import pyarrow.parquet

from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import atomic_write
from recbole_sda.io.escape import csv_frame
from recbole_sda.io.html import data_url, write_html
from recbole_sda.io.ids import id_text
from recbole_sda.recommend.item_titles import Item, thumbnail

FORMATS = (".parquet", ".csv", ".html")
MAX_SHOWN = 50  # users of a page
HISTORY_SHOWN = 6  # last items of a user's history on a page
TEXT = pyarrow.string()
TYPES = {"user_id": TEXT, "rank": pyarrow.int32(), "item_id": TEXT, "score": pyarrow.float32(), "new": pyarrow.bool_(),
         "title": TEXT, "image": TEXT}  # fmt: skip
PAGE = Path(__file__).with_name("page.html")


def check_out(path: Path) -> None:
    """Refuse a file whose suffix is not one of :data:`FORMATS`."""
    if path.suffix not in FORMATS:
        raise InputError(f"--out={path}: expected a file that ends with {', '.join(FORMATS)}")


def with_titles(block: pd.DataFrame, items: Dict[str, Item]) -> pd.DataFrame:
    """Return recommendations with the columns ``title`` and ``image`` (a path); unchanged where ``items`` is empty."""
    if not items:
        return block
    shown = [items.get(id_text(token), Item(None, None)) for token in block["item_id"]]
    images = [str(item.image) if item.image else None for item in shown]
    return block.assign(title=pd.Series([item.title for item in shown], index=block.index, dtype="str"),
                        image=pd.Series(images, index=block.index, dtype="str"))  # fmt: skip


def write_table(blocks: Iterable[pd.DataFrame], out: Path) -> int:
    """Write blocks to a parquet or CSV file, one block in memory at a time; return the number of lines.

    The file appears atomically, after the last block. In CSV, a text that a spreadsheet would compute, such as ``=1+1``, gets an
    apostrophe in front.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    n, writer = 0, None
    with atomic_write(out) as draft:
        for block in blocks:
            if out.suffix == ".csv":
                csv_frame(block).to_csv(draft, mode="a" if n else "w", header=not n, index=False)
            else:
                # Without named types, a first block that has no title would make a column of nulls.
                schema = pyarrow.schema([(name, TYPES[name]) for name in block.columns])
                writer = writer or pyarrow.parquet.ParquetWriter(draft, schema, compression="zstd")
                writer.write_table(pyarrow.Table.from_pandas(block, schema, preserve_index=False))
            n += len(block)
        if writer:
            writer.close()
    return n


def write_page(
    blocks: Iterable[pd.DataFrame],
    out: Path,
    items: Dict[str, Item],
    history: Callable[[str], List[str]],
    title: str,
    about: str,
) -> int:
    """Write a self-contained HTML page of the first :data:`MAX_SHOWN` users; return the number of users on it.

    Args:
        blocks: recommendations, see :meth:`recbole_sda.recommend.recommender.Recommender.top`.
        out: file of the page.
        items: titles and images by external item id.
        history: returns the item ids of a user in time order.
        title: title of the page.
        about: text below the title.
    """

    def shown(token: str, rank: int = 0, new: bool = False) -> Dict[str, Any]:
        item = items.get(id_text(token), Item(None, None))
        return {"id": token, "title": item.title or token, "image": thumbnail(item.image), "rank": rank, "new": new}

    users, on_page = [], []
    by_user = (pair for block in blocks for pair in block.groupby("user_id", sort=False))
    for user, rows in islice(by_user, MAX_SHOWN):
        user_items = history(user)
        on_page.append(with_titles(rows, items).drop(columns="image", errors="ignore"))
        users.append(
            {
                "id": user,
                "n_history": len(user_items),
                "history": [shown(token) for token in user_items[-HISTORY_SHOWN:]],
                "top": [shown(row.item_id, row.rank, row.new) for row in rows.itertuples()],
            }
        )
    csv = csv_frame(pd.concat(on_page)).to_csv(index=False) if on_page else ""
    titled = any(item.title for item in items.values())
    write_html(PAGE, out, users=users, title=title, about=about, titled=titled, csv=data_url("text/csv", csv.encode()))
    return len(users)
