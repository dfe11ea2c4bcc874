"""From interactions and items to a data set's folder: filters, split, files, pictures, and an account of it all."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from dataset_prep import atomic, filters, splits
from dataset_prep.images import Options, fetch_images
from dataset_prep.interactions import Interactions
from dataset_prep.items import Item
from dataset_prep.problems import Problems
from dataset_prep.published import compare
from recbole_sda import __version__
from recbole_sda.errors import InputError

logger = logging.getLogger(__name__)

FILTERS = ("iterative", "one-pass")


@dataclass(frozen=True)
class Choices:
    """What is kept and how it is split.

    Attributes:
        start, end: interactions from ``start`` on and before ``end``, seconds.
        min_rating: lowest rating that counts.
        repetitions: which of a user's interactions with an item are kept: first, last or all.
        k_core: least interactions of a user and of an item; 0 keeps all.
        filter: ``iterative`` until all have k, or ``one-pass``.
        max_history: each user's last so many.
        split: none, leave-one-out, ratio, time; written as RecBole benchmark files.
        ratio: shares of training, validation and test.
        split_at: where validation and test begin, seconds.
    """

    start: Optional[int] = None
    end: Optional[int] = None
    min_rating: Optional[float] = None
    repetitions: str = "first"
    k_core: int = 5
    filter: str = "iterative"
    max_history: Optional[int] = None
    split: str = "none"
    ratio: Tuple[float, ...] = (8, 1, 1)
    split_at: Tuple[int, ...] = ()


def apply(data: Interactions, choices: Choices) -> Tuple[Interactions, List[Dict[str, Any]]]:
    """Filter interactions; return what is left, in the order of files, and the counts after each step.

    Raises:
        InputError: nothing is left, or a choice is not one.
    """
    c, steps = choices, []

    def after(step: str, kept: Interactions) -> Interactions:
        steps.append({"step": step, **kept.counts()})
        if not len(kept):
            raise InputError(f"no interaction is left after: {step}")
        return kept

    if c.filter not in FILTERS:
        raise InputError(f"filter={c.filter!r}: allowed are {', '.join(FILTERS)}")
    data = after("read", data)
    if c.start is not None or c.end is not None:
        data = after(f"times from {c.start} to {c.end}", filters.between(data, c.start, c.end))
    if c.min_rating is not None:
        data = after(f"rated {c.min_rating:g} or better", filters.at_least_rated(data, c.min_rating))
    if c.repetitions != "all":
        data = after(f"{c.repetitions} of repeated interactions", filters.deduplicate(data, c.repetitions))
    if c.k_core > 0:
        keep = filters.k_core if c.filter == "iterative" else filters.one_pass
        data = after(f"{c.k_core}-core, {c.filter}", keep(data, c.k_core, c.k_core))
    if c.max_history is not None:
        data = after(f"last {c.max_history} of each user", filters.longest(data, c.max_history))
    return data.ordered(), steps


def part_of(data: Interactions, choices: Choices):
    """Return the part of each interaction, or None where no split is written."""
    if choices.split == "none":
        return None
    if choices.split == "leave-one-out":
        return splits.leave_one_out(data)
    if choices.split == "ratio":
        return splits.ratio(data, choices.ratio)
    if len(choices.split_at) != 2:
        raise InputError("split=time needs two times: where validation begins and where the test begins")
    return splits.by_time(data, *choices.split_at)


def new_folder(out, name: str, overwrite: bool) -> Path:
    """Return the data set's folder; one that this command has not made is left alone unless told otherwise."""
    folder = Path(out) / name
    ours = any((folder / mark).exists() for mark in (atomic.RECORD, atomic.UNFINISHED))
    if (folder / f"{name}.inter").exists() and not ours and not overwrite:
        raise InputError(
            f"{folder} holds a data set that was not made by this command; --overwrite to replace its files"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / atomic.UNFINISHED).touch()
    return folder


def write_dataset(
    folder: Path,
    data: Interactions,
    items: Dict[str, Item],
    columns: Sequence[atomic.Column],
    choices: Choices,
    steps: List[Dict[str, Any]],
    provenance: Dict[str, Any],
    problems: Problems,
    pictures: Optional[Options] = Options(),
    known_counts: Optional[Dict[str, int]] = None,
) -> Dict[str, Any]:
    """Write everything and return what ``dataset.json`` says.

    Args:
        folder: of the data set; its name is the data set's.
        data: filtered interactions, see :func:`apply`.
        items: id -> fields and ``pictures``, addresses or paths; ids without one are written without fields.
        columns: fields and their RecBole types, in order.
        choices, steps: what was filtered, and the counts.
        provenance: where it all comes from.
        problems: what was wrong on the way.
        pictures: how pictures are fetched; None fetches none.
        known_counts: published counts of this set.
    """
    name = folder.name
    tokens = [data.items[k] for k in data.used_items()]
    failures: List[dict] = []
    if pictures is not None:
        sources = {token: items[token]["pictures"] for token in tokens if items.get(token, {}).get("pictures")}
        found, failures = fetch_images(sources, folder / "images", pictures)
        for token, file in found.items():
            items[token]["image"] = f"images/{file}"
    part = part_of(data, choices)
    atomic.write_items(folder, name, tokens, items, columns)
    files = [f"{name}.item", "items.jsonl", f"{name}.inter"]
    record: Dict[str, Any] = {"name": name, "recbole_sda": __version__, **provenance, "choices": asdict(choices)}
    if part is None:
        for label in splits.PARTS:  # of an earlier preparation
            (folder / f"{name}.{label}.inter").unlink(missing_ok=True)
    else:
        labels = atomic.write_split(folder, name, data, part)
        files += [f"{name}.{label}.inter" for label in labels]
        record["split"] = {"benchmark_filename": labels, **splits.counts(part)}
    problems.write(folder / "problems.jsonl")
    atomic.write_inter(folder / f"{name}.inter", data)  # last: its presence says that the set is whole
    counts = data.counts()
    with_image = sum(bool(items.get(token, {}).get("image")) for token in tokens)
    record |= {
        "steps": steps,
        "counts": {**counts, "items_with_picture": with_image},
        "problems": dict(problems.counts),
    }
    if failures:
        record["picture_failures"] = len(
            {failure["item_id"] for failure in failures if failure["item_id"] not in found}
        )
    if known_counts:
        record["published"] = {**known_counts, "found": compare(counts, known_counts)}
    atomic.write_record(folder, record, files, folder / "images")
    return record


def account(folder: Path, record: Dict[str, Any]) -> str:
    """Return what a person wants to know of a prepared data set."""
    lines = [f"{'':40}{'users':>12}{'items':>12}{'interactions':>14}"]
    for row in record["steps"]:
        lines.append(f"{row['step']:40}{row['users']:>12,}{row['items']:>12,}{row['interactions']:>14,}")
    if "published" in record:
        lines.append(f"this is {record['published']['found']}")
    lines.append(f"{record['counts']['items_with_picture']:,} of {record['counts']['items']:,} items have a picture")
    if record.get("picture_failures"):
        lines.append(f"{record['picture_failures']:,} pictures could not be had: {folder / 'images/failures.jsonl'}")
    for kind, number in record["problems"].items():
        lines.append(f"{kind}: {number:,}, listed in {folder / 'problems.jsonl'}")
    if "split" in record:
        sizes = ", ".join(f"{label} {record['split'][label]:,}" for label in splits.PARTS)
        lines.append(f"split {record['choices']['split']}: {sizes}; used by --benchmark_filename=[train,valid,test]")
    return "\n".join(lines)
