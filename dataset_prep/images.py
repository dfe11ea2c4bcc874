"""The images of all items in one folder: fetched in parallel or copied, with every failure and its reason on record."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from dataset_prep.image_source import SUFFIXES, FetchError, ImageOptions, RateLimit, read_source, write_image
from recbole_sda.io.atomic_write import append_line, write_lines
from recbole_sda.io.json import read_json_lines
from recbole_sda.io.progress import Progress

FAILURES, SOURCES = "failures.jsonl", "sources.jsonl"
SOURCE_LINE = {"item_id": str}


class _Result(NamedTuple):
    """The file of an item's image and its source, None where all sources failed; and (source, reason) of each failure."""

    name: Optional[str]
    source: Optional[str]
    failed: List[Tuple[str, str]]


def fetch_images(
    sources: Mapping[str, Sequence[str]], folder: Union[str, Path], options: ImageOptions
) -> Tuple[Dict[str, str], List[Dict[str, str]]]:
    """Write the images of items to a folder. An image that is there already, from the same source and of the same size, stays.

    Args:
        sources: item id -> addresses (http, https) or paths of its image; the first that works is used.
        folder: of the images, one file per item. It also gets ``sources.jsonl``, the source of each image, and
            ``failures.jsonl``, what could not be fetched.
        options: see :class:`ImageOptions`.

    Returns:
        Item id -> file name in the folder; and the failures: item id, source and reason.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for draft in folder.glob(".*.part"):  # of an interrupted run
        draft.unlink()
    stems = file_stems(sources)
    existing: Dict[str, List[str]] = defaultdict(
        list
    )  # several: a run was killed before it removed the one of another format
    for path in folder.iterdir():
        if path.suffix in SUFFIXES.values():
            existing[path.stem].append(path.name)
    with_records = (folder / SOURCES).is_file()  # else the folder is of an earlier version, or the user's own
    recorded = {line["item_id"]: line for line in read_json_lines(folder / SOURCES, SOURCE_LINE)}
    names = {
        item: existing[stem][0]
        for item, stem in stems.items()
        if len(existing[stem]) == 1 and _is_current(recorded.get(item), sources[item], options, with_records)
    }
    missing = [item for item, addresses in sources.items() if item not in names and addresses]
    limit = RateLimit(options.per_second)
    failures: List[Dict[str, str]] = []
    pool = ThreadPoolExecutor(options.workers)
    try:
        results = pool.map(lambda item: _fetch_one(sources[item], folder, stems[item], options, limit), missing)
        write_lines(folder / SOURCES, map(_json_line, recorded.values()))
        with Progress(len(missing), "images", "files") as bar:
            for item, result in zip(missing, results):
                bar.update()
                if result.name is None:
                    failures += [{"item_id": item, "source": s, "reason": reason} for s, reason in result.failed]
                    continue
                for old in existing[stems[item]]:
                    if old != result.name:  # of another format
                        (folder / old).unlink()
                names[item] = result.name
                line = {"item_id": item, "source": result.source, "max_pixels": options.max_pixels}
                append_line(folder / SOURCES, _json_line(line).rstrip("\n"))
    finally:
        pool.shutdown(cancel_futures=True)
    write_lines(folder / FAILURES, map(_json_line, failures))
    return names, failures


def _json_line(value: Dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def file_stems(items: Collection[str]) -> Dict[str, str]:
    """Return a file name without its ending for each id: valid on every system, and different for different ids.

    An id that is not a valid file name, or that differs from another one in case alone, gets a hash of the id at its
    end. So an image that another selection of items has left in the folder is never used for a different item.
    """
    same = Counter(item.lower() for item in items)
    stems = {}
    for item in items:
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", item)[:100]
        unchanged = stem == item and same[item.lower()] == 1
        stems[item] = stem if unchanged else f"{stem}~{hashlib.sha256(item.encode()).hexdigest()[:12]}"
    return stems


def _is_current(
    recorded: Optional[Dict[str, Any]], sources: Sequence[str], options: ImageOptions, with_records: bool
) -> bool:
    """Return whether an existing image is the one that would be fetched.

    Without a record, it is where the folder has no records at all; else it came just before a kill.
    """
    if recorded is None:
        return not with_records
    return recorded.get("source") in sources and recorded.get("max_pixels") == options.max_pixels


def _fetch_one(sources: Sequence[str], folder: Path, stem: str, options: ImageOptions, limit: RateLimit) -> _Result:
    """Write the image of the first source that works."""
    failed: List[Tuple[str, str]] = []
    for source in sources:
        try:
            content = read_source(source, options, limit)
            return _Result(write_image(content, folder, stem, options.max_pixels), source, failed)
        except FetchError as error:
            failed.append((source, str(error)))
    return _Result(None, None, failed)
