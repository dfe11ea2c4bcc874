"""One's own tables: interactions and items in CSV, JSON lines or Parquet, pictures in a folder or by address."""

from pathlib import Path
from typing import Dict, List, Optional, Sequence

from dataset_prep.interactions import Interactions, collect, pick, token
from dataset_prep.items import Item, clean, gather, price_of
from dataset_prep.lines import records
from dataset_prep.problems import Problems
from recbole_sda.errors import InputError, nearest

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")


def read_interactions(path, columns: Dict[str, Optional[str]], problems: Problems, per_second: int = 1) -> Interactions:
    """Read interactions from a table.

    Args:
        path: the table.
        columns: names of ``user``, ``item`` and, where they are there, ``time`` and ``rating``.
        problems: where broken rows are counted.
        per_second: units of the time in a second.

    Raises:
        InputError: the file or a column is missing; the message says which columns there are.
    """
    rows = iter(records(path, problems))
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path} holds no rows")
    names = {key: column_of(name, first, path, f"--{key}-col") for key, name in columns.items() if name}

    def every():
        yield first
        yield from rows

    return collect(pick(every(), names, path, problems, per_second))


def column_of(name: str, record: dict, path, option: str) -> str:
    """Return the column that a name means: itself, or the one that RecBole's ``name:type`` begins with."""
    typed = {str(key).partition(":")[0]: key for key in record}
    if name in record:
        return name
    if name in typed:
        return typed[name]
    raise InputError(
        f"{path}: no column {name!r} ({option}); there is {', '.join(map(str, record))}.{nearest(name, typed)}"
    )


def read_items(
    path, wanted: Sequence[str], item_col: str, text_cols: Sequence[str], image_col: Optional[str], problems: Problems
) -> Dict[str, Item]:
    """Read the wanted items of a table.

    Args:
        path: the table.
        wanted: ids that interactions have.
        item_col: column of the id.
        text_cols: columns that are kept as fields; none takes all but id and picture.
        image_col: column with an address or path of the picture.
        problems: where broken rows are counted.
    """
    names = dict.fromkeys(
        key for record in records(path, Problems()) for key in record
    )  # JSON may lack some in a record
    if not names:
        raise InputError(f"{path} holds no rows")
    id_column = column_of(item_col, names, path, "--item-col")
    image = column_of(image_col, names, path, "--image-col") if image_col else None
    chosen = [column_of(name, names, path, "--text-cols") for name in text_cols]
    fields = chosen or [key for key in names if key not in (id_column, image)]

    def read(record: dict) -> Optional[Item]:
        if record.get(id_column) in (None, ""):
            return None
        item: Item = {field_name(field): _value(record.get(field), field) for field in fields}
        pictures = record.get(image) if image else None
        pictures = pictures if isinstance(pictures, list) else [pictures]
        return {"item_id": token(record[id_column]), **item, "pictures": [str(p) for p in pictures if p]}

    return gather(records(path, problems), set(wanted), read, problems)


def field_name(column: str) -> str:
    """Return a column's name as a field's: without RecBole's type, blanks and other signs as underscores."""
    name = "".join(c if c.isalnum() else "_" for c in str(column).partition(":")[0])
    return f"{name}_" if name in ("item_id", "image", "user_id") else name


def _value(value, column: str):
    return price_of(value) if str(column).partition(":")[0].lower() == "price" else clean(value)


def columns_of(items: Dict[str, Item]) -> List[tuple]:
    """Return the fields of items with their RecBole types."""
    names = dict.fromkeys(
        name for item in items.values() for name in item if name not in ("item_id", "pictures", "image")
    )
    return [(name, "float" if name.lower() == "price" else "token_seq") for name in names]


def pictures_in(folder, items: Dict[str, Item], wanted: Sequence[str]) -> None:
    """Point items to pictures in a folder: by the file that their table names, else by ``<item id>.jpg`` and the like.

    Raises:
        InputError: the folder does not exist.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"--images={folder} is not a folder")
    by_stem = {path.stem: path for path in sorted(root.iterdir()) if path.suffix.lower() in PICTURE_SUFFIXES}
    for name in wanted:
        item = items.setdefault(name, {"item_id": name, "pictures": []})
        named = [p if p.startswith(("http://", "https://")) else str(root / p) for p in item.get("pictures", [])]
        item["pictures"] = named or ([str(by_stem[name])] if name in by_stem else [])
