"""Tables of items of one's own: text fields and images, in a folder or by address."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Collection, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from dataset_prep.html_text import clean
from dataset_prep.items import Item, gather, price_field
from dataset_prep.problems import Problems
from dataset_prep.records import Record, read_records
from dataset_prep.table import column_of, log_left_out
from recbole_sda.errors import InputError
from recbole_sda.io.ids import is_missing

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
PathLike = Union[str, Path]


@dataclass(frozen=True)
class ItemColumns:
    """Names of the columns of a table of items.

    Attributes:
        item: of the id.
        own_id: whether ``item`` was named for this table, not for that of interactions.
        texts: that become text fields; empty for all but the id and those of images.
        title: that becomes the field ``title``; None: the column ``title`` is.
        image: with an address or a path of the image, or a list of them.
    """

    item: str = "item_id"
    own_id: bool = False
    texts: Sequence[str] = ()
    title: Optional[str] = None
    image: Optional[str] = None


def read_items(
    path: PathLike, wanted: Collection[str], columns: ItemColumns, problems: Problems, others: bool = False
) -> Dict[str, Item]:
    """Read the wanted items of a table, or, with ``others``, all of them. The log names the columns that are left out.

    Args:
        path: the table.
        wanted: ids that occur in interactions.
        columns: of the table.
        problems: counts bad rows.
        others: whether items that occur in no interaction are read too.

    Raises:
        InputError: the file or a column is missing, the table has no rows, or two columns have the same field name.
    """
    known, of_images = _scan(path)
    id_column = column_of(columns.item, known, path, "--items-id-col" if columns.own_id else "--item-col")
    image_column = column_of(columns.image, known, path, "--image-col") if columns.image else None
    title = column_of(columns.title, known, path, "--title-col") if columns.title else None
    texts = [column_of(name, known, path, "--text-cols") for name in columns.texts]
    if title is not None and title not in texts:
        texts = [title, *texts] if texts else texts
    texts = texts or [c for c in known if c not in (id_column, image_column) and (c == title or c not in of_images)]
    fields = _field_names(texts, title, path)
    for column in of_images:
        if column not in (image_column, *texts):
            logger.warning("%s: column %r names images; --image-col %s fetches them", path, column, column)
    log_left_out(path, [c for c in known if c not in (id_column, image_column, *fields)], "--text-cols, --image-col")

    def read(item_id: str, record: Record) -> Item:
        values = {
            field: _value(record.get(column), field, f"{item_id}, {column}", problems)
            for column, field in fields.items()
        }
        return Item(
            item_id, values, _image_sources(record.get(image_column), item_id, problems) if image_column else []
        )

    return gather(read_records(path, problems), set(wanted), id_column, read, problems, str(path), others)


def _scan(path: PathLike) -> Tuple[List[str], List[str]]:
    """Return the columns of a table, and those of them in which every value that is not missing names an image.

    JSON records need not all have the same columns, so all of them are read.
    """
    columns: Dict[str, None] = {}
    named: Dict[str, bool] = {}
    for record in read_records(path, Problems()):
        for column, value in record.items():
            columns.setdefault(column)
            if named.get(column, True) and not is_missing(value) and value not in ("", []):
                named[column] = _names_image(value)
    if not columns:
        raise InputError(f"{path} holds no rows")
    return list(columns), [column for column in columns if named.get(column)]


def _names_image(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(v, str) and v.partition("?")[0].lower().endswith(IMAGE_SUFFIXES) for v in values)


def _image_sources(value: Any, item_id: str, problems: Problems) -> List[str]:
    values = [v for v in (value if isinstance(value, list) else [value]) if not is_missing(v) and v != ""]
    for v in values:
        if not isinstance(v, str):
            problems.add("image that is no address or file name", item_id, str(v))
    return [v.strip() for v in values if isinstance(v, str) and v.strip()]


def _field_names(columns: Sequence[str], title: Optional[str], path: PathLike) -> Dict[str, str]:
    """Return the field name of each column; the column of titles becomes ``title``."""
    fields = {column: "title" if column == title else field_name(column) for column in columns}
    for column, field in fields.items():
        same = next((other for other in fields if other != column and fields[other] == field), None)
        if same is not None:
            raise InputError(
                f"{path}: columns {column!r} and {same!r} would both be the field {field!r}; choose by --text-cols"
            )
    return fields


def field_name(column: str) -> str:
    """Return the field name of a column: without RecBole's type, other characters than letters and digits as underscores."""
    name = "".join(c if c.isalnum() else "_" for c in str(column).partition(":")[0])
    return f"{name}_" if name in ("item_id", "image", "user_id") else name


def _value(value: Any, field: str, where: str, problems: Problems) -> Any:
    return price_field(value, where, problems) if field.lower() == "price" else clean(value)


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
