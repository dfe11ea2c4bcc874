"""Recommendations as parquet, CSV, or a page to look at."""

import os
from pathlib import Path
from typing import Callable, Dict, Iterable, List

import jinja2
import pandas as pd
import pyarrow
import pyarrow.parquet

from recbole_sda.errors import InputError
from recbole_sda.recommend.catalogue import Item, thumbnail

FORMATS = (".parquet", ".csv", ".html")
MAX_SHOWN = 50  # users of a page
HISTORY_SHOWN = 6

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
  body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #111; }
  h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; border-top: 1px solid #999; padding-top: 1rem; }
  .row { display: flex; gap: .7rem; overflow-x: auto; padding: .3rem 0 .6rem; }
  figure { margin: 0; width: 7.4rem; flex: none; font-size: .8rem; }
  .frame { width: 7.4rem; height: 7.4rem; display: grid; place-items: center; background: #eee; color: #666; }
  .frame img { max-width: 100%; max-height: 100%; }
  figcaption { margin-top: .25rem; overflow-wrap: anywhere; }
  .label { color: #444; font-size: .8rem; }
  .new { font-weight: 700; border: 1px solid #111; padding: 0 .25rem; }
</style></head><body>
<h1>{{ title }}</h1>
<p>{{ about }}</p>
{% macro show(item) %}<figure>
<div class="frame">{% if item.image %}<img src="{{ item.image }}" alt="">{% else %}no picture{% endif %}</div>
<figcaption>{% if item.place %}<span class="label">{{ item.place }}</span> {% endif %}
{% if item.new %}<span class="new">new</span> {% endif %}{{ item.title }}</figcaption>
</figure>{% endmacro %}
{% for user in users %}
<h2>User {{ user.id }}</h2>
<div class="label">last {{ user.history | length }} of {{ user.n_history }}</div>
<div class="row">{% for item in user.history %}{{ show(item) }}{% endfor %}</div>
<div class="label">recommended</div>
<div class="row">{% for item in user.items %}{{ show(item) }}{% endfor %}</div>
{% endfor %}
</body></html>
"""


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
                table = pyarrow.Table.from_pandas(block, preserve_index=False, schema=writer.schema if writer else None)
                writer = writer or pyarrow.parquet.ParquetWriter(draft, table.schema, compression="zstd")
                writer.write_table(table)
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
    for block in blocks:
        for user, rows in block.groupby("user_id", sort=False):
            known = history(user)
            users.append(
                {
                    "id": user,
                    "n_history": len(known),
                    "history": [shown(token) for token in known[-HISTORY_SHOWN:]],
                    "items": [shown(row.item_id, row.rank, row.new) for row in rows.itertuples()],
                }
            )
            if len(users) == MAX_SHOWN:
                break
        if len(users) == MAX_SHOWN:
            break
    text = jinja2.Environment(autoescape=True).from_string(PAGE).render(users=users, title=title, about=about)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    return len(users)
