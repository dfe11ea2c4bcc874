"""The commands of ``python -m dataset_prep``: parsed arguments to a data set's folder."""

import argparse
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Dict, Iterator, Mapping, Optional, Union

from dataset_prep import amazon, item_table, splits, table
from dataset_prep.atomic_files import write_inter, write_split
from dataset_prep.dataset_folder import Prepared, open_folder, summary, write_dataset, write_record
from dataset_prep.download import download
from dataset_prep.given_splits import overlap_counts, read_given_split
from dataset_prep.image_source import ImageOptions
from dataset_prep.interactions import collect
from dataset_prep.items import Item, gather
from dataset_prep.mmrec import read_mmrec
from dataset_prep.prepare import Choices, filter_interactions
from dataset_prep.problems import Problems
from dataset_prep.published import published_counts
from dataset_prep.records import Record, is_table, json_lines, parquet_rows
from dataset_prep.rows import parse_rows
from dataset_prep.times import check_unit
from recbole_sda.data.miniature.generate import generate
from recbole_sda.errors import InputError
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.names import safe_name

FIELDS = (
    ("title", "token_seq"),
    ("brand", "token"),
    ("categories", "token_seq"),
    ("price", "float"),
    ("description", "token_seq"),
)


def prepare_amazon(args: argparse.Namespace) -> None:
    """Prepare a category of an Amazon release, downloaded unless its files are given."""
    release = amazon.release(args.release)
    safe_name("--category", args.category)
    with open_folder(args.out, args.name or amazon.dataset_name(args.category), args.overwrite) as folder:
        _prepare_amazon(args, release, folder)


def _prepare_amazon(args: argparse.Namespace, release: amazon.Release, folder: Path) -> None:
    reviews = _source("--reviews", args.reviews, release.reviews, args)
    metadata = _source("--meta", args.meta, release.metadata, args)
    problems, choices = Problems(), _choices(args)
    records = amazon_records(reviews, problems)
    rows = parse_rows(records, release.fields, reviews, problems, release.per_second)
    data, steps = filter_interactions(collect(rows), choices)
    read = partial(release.read_item, problems=problems)
    records, wanted = amazon_records(metadata, problems), set(data.used_items())
    items = gather(records, wanted, release.item, read, problems, str(metadata), args.all_items)
    prepared = Prepared(
        data=data,
        items=items,
        columns=FIELDS,
        choices=choices,
        steps=steps,
        provenance={
            "source": f"Amazon reviews {args.release}, {args.category}",
            "files": _files({"reviews": reviews, "metadata": metadata}),
        },
        problems=problems,
        published_counts=(
            published_counts(args.release, args.category, choices.k_core) if choices.is_plain_core else None
        ),
    )
    _finish(args, folder, prepared)


def prepare_table(args: argparse.Namespace) -> None:
    """Prepare a data set from tables of interactions and items."""
    with open_folder(args.out, args.name, args.overwrite) as folder:
        _prepare_table(args, folder)


def _prepare_table(args: argparse.Namespace, folder: Path) -> None:
    if args.all_items and not args.items:
        raise InputError("--all-items keeps items of the table that --items names, and there is none")
    for option in ("image_col", "text_cols", "title_col", "items_id_col"):
        if getattr(args, option) and not args.items:
            raise InputError(f"--{option.replace('_', '-')} needs --items, a table of items")
    problems, choices = Problems(), _choices(args)
    columns = {"user": args.user_col, "item": args.item_col, "time": args.time_col, "rating": args.rating_col}
    data = table.read_interactions(args.inter, columns, problems, args.time_unit, args.columns or ())
    if args.time_col:
        compared = any(value is not None for value in (args.start, args.end, args.split_at))
        check_unit(data.time, args.time_unit, args.inter, compared)
    data, steps = filter_interactions(data, choices)
    tokens = data.used_items()
    items: Dict[str, Item] = {}
    if args.items:
        named = args.items_id_col is not None
        item_col = args.items_id_col if named else args.item_col
        chosen = item_table.ItemColumns(item_col, named, args.text_cols or (), args.title_col, args.image_col)
        items = item_table.read_items(args.items, tokens, chosen, problems, args.all_items)
    if args.images:
        item_table.add_images_of_folder(args.images, items, list(dict.fromkeys([*tokens, *items])))
    prepared = Prepared(
        data=data,
        items=items,
        columns=item_table.columns_of(items),
        choices=choices,
        steps=steps,
        provenance={"source": "own tables", "files": _files({"inter": args.inter, "items": args.items})},
        problems=problems,
    )
    _finish(args, folder, prepared)


def prepare_mmrec(args: argparse.Namespace) -> None:
    """Prepare an interaction file of MMRec with its published split."""
    with open_folder(args.out, args.name, args.overwrite) as folder:
        _prepare_mmrec(args, folder)


def _prepare_mmrec(args: argparse.Namespace, folder: Path) -> None:
    problems = Problems()
    data, part = read_mmrec(args.inter, problems)
    labels = write_split(folder, args.name, data, part)
    write_inter(folder / f"{args.name}.inter", data)
    sizes = splits.counts(part)
    record = {"name": args.name, "source": "MMRec", "files": _files({"inter": args.inter}), "counts": data.counts()}
    files = [f"{args.name}.{label}.inter" for label in labels] + [f"{args.name}.inter"]
    write_record(folder, {**record, "split": {"benchmark_filename": labels, **sizes}}, files)
    print(f"{folder}: " + ", ".join(f"{label} {sizes[label]:,}" for label in labels))
    print(
        f"  python run_recbole_sda.py --model=BPR_SDA --dataset={quote(args.name)} --data_path={quote(args.out)} "
        "--benchmark_filename=[train,valid,test]"
    )


def prepare_splits(args: argparse.Namespace) -> None:
    """Prepare a data set from the files of a split, one for each part, in one file with a column of parts."""
    with open_folder(args.out, args.name, args.overwrite) as folder:
        _prepare_splits(args, folder)


def _prepare_splits(args: argparse.Namespace, folder: Path) -> None:
    problems = Problems()
    columns = {"user": args.user_col, "item": args.item_col, "time": args.time_col, "rating": args.rating_col}
    paths = {"train": args.train, "valid": args.valid, "test": args.test}
    data, part, used = read_given_split(paths, columns, problems, args.time_unit, args.columns)
    unusual, order = overlap_counts(data, part), data.order()
    for label in splits.PARTS:  # of an earlier preparation
        (folder / f"{args.name}.{label}.inter").unlink(missing_ok=True)
    write_inter(folder / f"{args.name}.inter", data.take(order), part[order])
    sizes = splits.counts(part)
    record = {
        "name": args.name,
        "source": "given split",
        "files": _files(paths),
        "columns": used,
        "counts": data.counts(),
    }
    write_record(folder, {**record, "split": {"given": "part", **sizes}, "unusual": unusual}, [f"{args.name}.inter"])
    print(f"{folder}: " + ", ".join(f"{label} {sizes[label]:,}" for label in splits.PARTS))
    print("columns: " + ", ".join(f"{key} {name}" for key, name in used.items()))
    if "time" not in used:
        print("no column of times: the order of the rows, training first, is the order in time")
    for what, n in unusual.items():
        print(f"{n:,} {what}")
    print(f"  python run_recbole_sda.py --model=BPR --dataset={quote(args.name)} --data_path={quote(args.out)}")


def prepare_sample(args: argparse.Namespace) -> None:
    """Write the built-in miniature of a data set."""
    folder, items = generate(safe_name("--name", args.name), args.out)
    print(f"{folder}: a miniature of invented products; items in {items.name}")


def _source(option: str, given: Optional[str], address: str, args: argparse.Namespace) -> Path:
    """Return a file of a release: the given one, or else the downloaded one."""
    if given:
        if not Path(given).is_file():
            raise InputError(f"{option}={given} does not exist")
        return Path(given)
    url = address.format(args.category)
    return download(url, Path(args.raw) / f"amazon{args.release}" / url.rpartition("/")[2])


def amazon_records(path: Path, problems: Problems) -> Iterator[Record]:
    """Yield the records of a review or metadata file: JSON lines, or Parquet as the library datasets writes it.

    Raises:
        InputError: the file is a table of text, such as Amazon's files of ratings only.
    """
    if is_table(path):
        raise InputError(
            f"{path} is a table, not JSON lines; a file of ratings without a header is read by `python -m dataset_prep table "
            f"--inter {path} --columns user_id item_id rating timestamp --rating-col rating --time-col timestamp --name ...`"
        )
    return parquet_rows(path) if path.suffix.lower() in (".parquet", ".pq") else json_lines(path, problems)


def _files(paths: Mapping[str, Union[str, Path, None]]) -> Dict[str, Dict[str, str]]:
    """Return the name and the hash of each given input file."""
    return {kind: {"file": Path(p).name, "sha256": sha256_of(Path(p))} for kind, p in paths.items() if p}


def _choices(args: argparse.Namespace) -> Choices:
    return Choices(
        start=args.start,
        end=args.end,
        min_rating=args.min_rating,
        repetitions=args.repetitions,
        k_core=args.k_core,
        filter=args.filter,
        max_history=args.max_history,
        split=args.split,
        ratio=tuple(args.ratio),
        split_at=tuple(args.split_at or ()),
    )


def _finish(args: argparse.Namespace, folder: Path, prepared: Prepared) -> None:
    """Write the data set, then print a summary and the next commands."""
    options = None
    if not args.no_images:
        given = getattr(args, "images", None)
        options = ImageOptions(
            max_pixels=args.max_pixels,
            workers=args.workers,
            per_second=args.per_second,
            private=args.private_addresses,
            folder=Path(given) if given else None,
        )
    record = write_dataset(folder, prepared, options)
    print(summary(folder, record))
    print(f"\n{folder} is ready. Next, item vectors: light ones, or those of a vision-language model (docs/lvlm.md)")
    items, light = quote(f"{folder}/items.jsonl"), quote(f"{folder}/features/light")
    print(f"  python -m recbole_sda features extract --items {items} --out {light}")
    print(
        f"  python run_recbole_sda.py --model=SASRec_SDA --dataset={quote(folder.name)} --data_path={quote(args.out)}"
    )
