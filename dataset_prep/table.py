"""Tables of one's own: interactions and items in CSV, JSON lines or Parquet; images in a folder or by address."""

from itertools import chain
from pathlib import Path
from typing import Any, Collection, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from dataset_prep.interactions import Interactions, collect
from dataset_prep.items import Item, clean, gather, price_of
from dataset_prep.problems import Problems
from dataset_prep.records import Record, read_records
from dataset_prep.rows import parse_rows, token
from recbole_sda.errors import InputError, nearest

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
PathLike = Union[str, Path]


def read_interactions(
    path: PathLike, columns: Mapping[str, Optional[str]], problems: Problems, per_second: int = 1
) -> Interactions:
    """Read interactions from a table.

    Args:
        path: the table.
        columns: names of the columns of ``user`` and ``item``, and of ``time`` and ``rating`` or None.
        problems: counts bad rows.
        per_second: units of the time in a second.

    Raises:
        InputError: the file or a column is missing, or the table has no rows.
    """
    records = read_records(path, problems)
    first = next(records, None)
    if first is None:
        raise InputError(f"{path} holds no rows")
    names = {key: column_of(name, first, path, f"--{key}-col") for key, name in columns.items() if name}
    return collect(parse_rows(chain([first], records), names, path, problems, per_second))


def column_of(name: str, columns: Collection[str], path: PathLike, option: str) -> str:
    """Return the column that a name refers to: the column itself, or one of RecBole's, ``name:type``.

    Args:
        name: given by the user.
        columns: of the table.
        path: of the table, for the message.
        option: of the command line that gave the name, for the message.

    Raises:
        InputError: there is no such column.
    """
    typed = {str(column).partition(":")[0]: column for column in columns}
    if name in columns:
        return name
    if name in typed:
        return typed[name]
    raise InputError(
        f"{path}: no column {name!r} ({option}); there are {', '.join(map(str, columns))}.{nearest(name, typed)}"
    )


def read_items(
    path: PathLike,
    wanted: Collection[str],
    item_col: str,
    text_cols: Sequence[str],
    image_col: Optional[str],
    problems: Problems,
    others: bool = False,
) -> Dict[str, Item]:
    """Read the wanted items of a table, or, with ``others``, all of them.

    Args:
        path: the table.
        wanted: ids that occur in interactions.
        item_col: column of the id.
        text_cols: columns that become text fields; empty for all but the id and the image.
        image_col: column with an address or a path of the image, or a list of them.
        problems: counts bad rows.
        others: whether items that occur in no interaction are read too.

    Raises:
        InputError: the file or a column is missing, or the table has no rows.
    """
    # JSON records need not all have the same columns, so all of them are read.
    columns = dict.fromkeys(column for record in read_records(path, Problems()) for column in record)
    if not columns:
        raise InputError(f"{path} holds no rows")
    id_column = column_of(item_col, columns, path, "--item-col")
    image_column = column_of(image_col, columns, path, "--image-col") if image_col else None
    chosen = [column_of(name, columns, path, "--text-cols") for name in text_cols]
    text_columns = chosen or [column for column in columns if column not in (id_column, image_column)]

    def read(record: Record) -> Optional[Item]:
        if record.get(id_column) in (None, ""):
            return None
        fields = {field_name(column): _value(record.get(column), column) for column in text_columns}
        images = record.get(image_column) if image_column else None
        images = images if isinstance(images, list) else [images]
        return Item(token(record[id_column]), fields, [str(image) for image in images if image])

    return gather(read_records(path, problems), set(wanted), read, problems, others)


def field_name(column: str) -> str:
    """Return the field name of a column: without RecBole's type, other characters than letters and digits as underscores."""
    name = "".join(c if c.isalnum() else "_" for c in str(column).partition(":")[0])
    return f"{name}_" if name in ("item_id", "image", "user_id") else name


def _value(value: Any, column: str) -> Any:
    return price_of(value) if str(column).partition(":")[0].lower() == "price" else clean(value)


def columns_of(items: Mapping[str, Item]) -> List[Tuple[str, str]]:
    """Return the text fields of items with their RecBole types."""
    names = dict.fromkeys(name for item in items.values() for name in item.fields)
    return [(name, "float" if name.lower() == "price" else "token_seq") for name in names]


def add_images_of_folder(folder: PathLike, items: Dict[str, Item], wanted: Sequence[str]) -> None:
    """Set the image sources of items to the files of a folder.

    A file that the table of items names is used, or else ``<item id>.jpg`` or another suffix of an image.

    Args:
        folder: of the images.
        items: id -> item; wanted items without an entry get one.
        wanted: ids that occur in interactions.

    Raises:
        InputError: the folder does not exist.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"--images={folder} is not a folder")
    by_stem = {path.stem: str(path) for path in sorted(root.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES}
    for item_id in wanted:
        item = items.setdefault(item_id, Item(item_id))
        named = [s if s.startswith(("http://", "https://")) else str(root / s) for s in item.image_sources]
        item.image_sources = named or ([by_stem[item_id]] if item_id in by_stem else [])
