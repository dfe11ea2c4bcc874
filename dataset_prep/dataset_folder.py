"""The folder of a prepared data set: atomic files, items, images, and ``dataset.json``, the record of the preparation."""

import hashlib
import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Union

from dataset_prep import splits
from dataset_prep.atomic_files import Column, write_inter, write_items, write_split
from dataset_prep.image_source import ImageOptions
from dataset_prep.images import fetch_images
from dataset_prep.interactions import Interactions
from dataset_prep.items import Item
from dataset_prep.prepare import Choices, part_of
from dataset_prep.problems import Problems
from dataset_prep.published import compare
from recbole_sda import __version__
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import remove_file_drafts, write_lines
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.locks import exclusive_lock
from recbole_sda.io.names import safe_name

RECORD, UNFINISHED = "dataset.json", ".unfinished"


@dataclass
class Prepared:
    """A data set that is ready to be written.

    Attributes:
        data: filtered interactions.
        items: id -> item; an id of ``data`` without an item is written without fields. An item without interactions is written
            to ``items.jsonl`` alone, after the others: RecBole makes an item of each line of an ``.item`` file.
        columns: fields of the items and their RecBole types, in order.
        choices: how the interactions were filtered and how they are split.
        steps: counts after each filter.
        provenance: sources of the data and hashes of the input files.
        problems: of the input.
        published_counts: of this data set in papers.
    """

    data: Interactions
    items: Dict[str, Item]
    columns: Sequence[Column]
    choices: Choices
    steps: List[Dict[str, Any]]
    provenance: Dict[str, Any]
    problems: Problems
    published_counts: Optional[Dict[str, int]] = None

    def new_items(self) -> List[str]:
        """Return the ids of the items without interactions, sorted."""
        return sorted(set(self.items) - set(self.data.used_items()))


@contextmanager
def open_folder(out: Union[str, Path], name: str, overwrite: bool) -> Iterator[Path]:
    """Context manager that creates the folder of a data set, marks it as unfinished and gives it; no other process may use it.

    Args:
        out: folder of data sets.
        name: of the data set.
        overwrite: whether a data set that was not prepared here is replaced.

    Raises:
        InputError: there is a data set that was not prepared here, the name cannot be that of a folder, or another process is
            preparing the data set.
    """
    folder = Path(out) / safe_name("--name", name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(folder.with_name(f".{name}.lock"), f"{folder}: another process is preparing this data set"):
        prepared_here = any((folder / file).exists() for file in (RECORD, UNFINISHED))
        if (folder / f"{name}.inter").exists() and not prepared_here and not overwrite:
            raise InputError(
                f"{folder} holds a data set that was not made by this command; --overwrite to replace its files"
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / UNFINISHED).touch()
        remove_file_drafts(folder)
        yield folder


def write_dataset(folder: Path, prepared: Prepared, image_options: Optional[ImageOptions]) -> Dict[str, Any]:
    """Write all files of a data set and return the record in ``dataset.json``.

    Args:
        folder: of the data set; its name is the data set's.
        prepared: the data set.
        image_options: how images are fetched; None fetches none.

    Raises:
        InputError: the split is invalid.
    """
    p, name = prepared, folder.name
    tokens, new = p.data.used_items(), p.new_items()
    n_failed = 0 if image_options is None else _fetch_images(folder, [*tokens, *new], p.items, image_options)
    part = part_of(p.data, p.choices)
    write_items(folder, name, tokens, p.items, p.columns, new)
    files = [f"{name}.item", "items.jsonl", f"{name}.inter"]
    record: Dict[str, Any] = {"name": name, "recbole_sda": __version__, **p.provenance, "choices": asdict(p.choices)}
    if part is None:
        for label in splits.PARTS:  # of an earlier preparation
            (folder / f"{name}.{label}.inter").unlink(missing_ok=True)
    else:
        labels = write_split(folder, name, p.data, part)
        files += [f"{name}.{label}.inter" for label in labels]
        record["split"] = {"benchmark_filename": labels, **splits.counts(part)}
    p.problems.write(folder / "problems.jsonl")
    write_inter(folder / f"{name}.inter", p.data)  # last: a sign that the data set is complete
    counts = p.data.counts()
    n_images = sum(1 for token in tokens if token in p.items and p.items[token].image)
    record |= {
        "steps": p.steps,
        "counts": {**counts, "items_with_picture": n_images},
        "problems": dict(p.problems.counts),
    }
    if new:
        record["counts"]["items_without_interactions"] = len(new)
    if n_failed:
        record["picture_failures"] = n_failed
    if p.published_counts:
        record["published"] = {**p.published_counts, "found": compare(counts, p.published_counts)}
    write_record(folder, record, files, folder / "images")
    return record


def _fetch_images(folder: Path, tokens: Sequence[str], items: Mapping[str, Item], options: ImageOptions) -> int:
    """Fetch the images of items, set their paths, and return how many items have none because of failures."""
    sources = {token: items[token].image_sources for token in tokens if token in items and items[token].image_sources}
    names, failures = fetch_images(sources, folder / "images", options)
    for token, file in names.items():
        items[token].image = f"images/{file}"
    return len({failure["item_id"] for failure in failures} - set(names))


def write_record(folder: Path, record: Dict[str, Any], files: Iterable[str], images: Optional[Path] = None) -> None:
    """Write ``dataset.json`` and remove the mark of an unfinished preparation.

    Args:
        folder: of the data set.
        record: what is written, besides the hashes.
        files: names of the files whose hashes are written.
        images: folder of images, which get one hash together.
    """
    hashes = {file: sha256_of(folder / file) for file in files}
    if images is not None and images.is_dir():
        digest = hashlib.sha256()
        for path in sorted(p for p in images.iterdir() if not p.name.startswith(".") and p.suffix != ".jsonl"):
            digest.update(f"{path.name} {sha256_of(path)}\n".encode())
        hashes["images/"] = digest.hexdigest()
    write_lines(folder / RECORD, [json.dumps({**record, "sha256": hashes}, indent=2, ensure_ascii=False) + "\n"])
    (folder / UNFINISHED).unlink(missing_ok=True)


def summary(folder: Path, record: Dict[str, Any]) -> str:
    """Return the text that is printed about a prepared data set.

    Args:
        folder: of the data set.
        record: see :func:`write_dataset`.
    """
    lines = [f"{'':40}{'users':>12}{'items':>12}{'interactions':>14}"]
    for step in record["steps"]:
        lines.append(f"{step['step']:40}{step['users']:>12,}{step['items']:>12,}{step['interactions']:>14,}")
    if "published" in record:
        lines.append(f"this is {record['published']['found']}")
    lines.append(f"{record['counts']['items_with_picture']:,} of {record['counts']['items']:,} items have an image")
    if "items_without_interactions" in record["counts"]:
        number = record["counts"]["items_without_interactions"]
        lines.append(f"{number:,} further items without interactions are in items.jsonl: new items, for recommend")
    if record.get("picture_failures"):
        failures = folder / "images/failures.jsonl"
        lines.append(f"{record['picture_failures']:,} images could not be fetched, listed in {failures}")
    for kind, number in record["problems"].items():
        lines.append(f"{kind}: {number:,}, listed in {folder / 'problems.jsonl'}")
    if "split" in record:
        sizes = ", ".join(f"{label} {record['split'][label]:,}" for label in splits.PARTS)
        lines.append(f"split {record['choices']['split']}: {sizes}; used by --benchmark_filename=[train,valid,test]")
    return "\n".join(lines)
