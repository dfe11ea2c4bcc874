"""``python -m dataset_prep``: raw files to a data set that every later stage takes."""

import argparse
import logging
import sys
from pathlib import Path
from typing import Callable, List, Optional

from dataset_prep import amazon, filters, prepare, splits, table
from dataset_prep.atomic import sha256, write_inter, write_record, write_split
from dataset_prep.download import download
from dataset_prep.images import Options
from dataset_prep.interactions import collect, pick, seconds
from dataset_prep.items import gather
from dataset_prep.lines import json_lines
from dataset_prep.mmrec import read_mmrec
from dataset_prep.problems import Problems
from dataset_prep.published import published
from recbole_sda.cli.run import run_command
from recbole_sda.config.dataset_files import amazon_sources
from recbole_sda.data.miniature.generate import generate
from recbole_sda.errors import InputError

COLUMNS = (("title", "token_seq"), ("brand", "token"), ("categories", "token_seq"), ("price", "float"))
AMAZON_COLUMNS = (*COLUMNS, ("description", "token_seq"))


def _choices(args: argparse.Namespace) -> prepare.Choices:
    return prepare.Choices(
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


def _pictures(args: argparse.Namespace) -> Optional[Options]:
    if args.no_images:
        return None
    return Options(max_pixels=args.max_pixels, workers=args.workers, per_second=args.per_second)


def _amazon(args: argparse.Namespace) -> None:
    release = amazon.release(args.release)
    folder = prepare.new_folder(args.out, args.name or amazon.dataset_name(args.category), args.overwrite)
    sources = {}
    for kind, given, address in (("reviews", args.reviews, release.reviews), ("metadata", args.meta, release.metadata)):
        url = address.format(args.category)
        path = Path(given) if given else Path(args.raw) / f"amazon{args.release}" / url.rpartition("/")[2]
        if not given:
            download(url, path)
        elif not path.is_file():
            raise InputError(f"--{'meta' if kind == 'metadata' else kind}={given} does not exist")
        sources[kind] = path
    problems, choices = Problems(), _choices(args)
    rows = pick(
        json_lines(sources["reviews"], problems), release.fields, sources["reviews"], problems, release.per_second
    )
    data, steps = prepare.apply(collect(rows), choices)
    wanted = {data.items[k] for k in data.used_items()}
    items = gather(json_lines(sources["metadata"], problems), wanted, release.read_item, problems)
    files = {kind: {"file": path.name, "sha256": sha256(path)} for kind, path in sources.items()}
    provenance = {"source": f"Amazon reviews {args.release}, {args.category}", "files": files}
    standard = choices.filter == "iterative" and choices.min_rating is None and choices.start is choices.end is None
    known = published(args.release, args.category, choices.k_core) if standard else None
    _finish(args, folder, data, items, AMAZON_COLUMNS, choices, steps, provenance, problems, known)


def _table(args: argparse.Namespace) -> None:
    folder = prepare.new_folder(args.out, args.name, args.overwrite)
    problems, choices = Problems(), _choices(args)
    columns = {"user": args.user_col, "item": args.item_col, "time": args.time_col, "rating": args.rating_col}
    data = table.read_interactions(args.inter, columns, problems, 1000 if args.time_unit == "ms" else 1)
    data, steps = prepare.apply(data, choices)
    wanted = [data.items[k] for k in data.used_items()]
    items: dict = {}
    if args.items:
        item_col = args.items_id_col or args.item_col
        items = table.read_items(args.items, wanted, item_col, args.text_cols or (), args.image_col, problems)
    if args.images:
        table.pictures_in(args.images, items, wanted)
    given = {"inter": args.inter, "items": args.items}
    files = {kind: {"file": Path(path).name, "sha256": sha256(Path(path))} for kind, path in given.items() if path}
    provenance = {"source": "own tables", "files": files}
    _finish(args, folder, data, items, table.columns_of(items), choices, steps, provenance, problems, None)


def _finish(args, folder, data, items, columns, choices, steps, provenance, problems, known) -> None:
    pictures = _pictures(args)
    record = prepare.write_dataset(folder, data, items, columns, choices, steps, provenance, problems, pictures, known)
    print(prepare.account(folder, record))
    print(f"\n{folder} is ready. Next, item vectors: light ones, or those of a vision-language model (docs/lvlm.md)")
    print(f"  python -m recbole_sda features extract --items {folder}/items.jsonl --out {folder}/features/light")
    print(f"  python run_recbole_sda.py --model=SASRec_SDA --dataset={folder.name} --data_path={args.out}")


def _mmrec(args: argparse.Namespace) -> None:
    folder, problems = prepare.new_folder(args.out, args.name, args.overwrite), Problems()
    data, part = read_mmrec(args.inter, problems)
    labels = write_split(folder, args.name, data, part)
    write_inter(folder / f"{args.name}.inter", data)
    sizes = splits.counts(part)
    source = {"file": Path(args.inter).name, "sha256": sha256(Path(args.inter))}
    record = {"name": args.name, "source": "MMRec", "files": {"inter": source}, "counts": data.counts()}
    files = [f"{args.name}.{label}.inter" for label in labels] + [f"{args.name}.inter"]
    write_record(folder, {**record, "split": {"benchmark_filename": labels, **sizes}}, files)
    print(f"{folder}: " + ", ".join(f"{label} {sizes[label]:,}" for label in labels))
    print(
        f"  python run_recbole_sda.py --model=BPR_SDA --dataset={args.name} --data_path={args.out} "
        "--benchmark_filename=[train,valid,test]"
    )


def _sample(args: argparse.Namespace) -> None:
    folder, items = generate(args.name, args.out)
    print(f"{folder}: a miniature of invented products; items in {items.name}")


def _time(text: str) -> int:
    try:
        return seconds(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds or a date as 2014-05-01") from None


def _positive(kind: type) -> Callable[[str], float]:
    """Return what reads a number above 0."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a {'whole ' * (kind is int)}number above 0")
        return value

    return read


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", default="dataset", help="folder of data sets (default: dataset)")
    command.add_argument("--overwrite", action="store_true", help="replace a data set that this command has not made")
    keep = command.add_argument_group("what is kept")
    keep.add_argument(
        "--k-core", type=int, default=5, help="least interactions of users and items (default: 5; 0: all)"
    )
    keep.add_argument("--filter", choices=prepare.FILTERS, default="iterative", help="until all have k, or in one pass")
    keep.add_argument("--repetitions", choices=filters.KEEP, default="first", help="of a user with an item")
    keep.add_argument("--min-rating", type=float, help="lowest rating that counts")
    keep.add_argument("--max-history", type=int, help="each user's last so many")
    keep.add_argument("--start", type=_time, help="earliest time, as 2014-05-01 or in seconds")
    keep.add_argument("--end", type=_time, help="interactions before this time")
    split = command.add_argument_group("a split that is written down (RecBole splits by itself otherwise)")
    split.add_argument("--split", choices=splits.SPLITS, default="none")
    split.add_argument("--ratio", type=float, nargs=3, default=(8, 1, 1), metavar=("TRAIN", "VALID", "TEST"))
    split.add_argument("--split-at", type=_time, nargs=2, metavar=("VALID", "TEST"), help="times, with --split time")
    pictures = command.add_argument_group("pictures")
    pictures.add_argument("--no-images", action="store_true", help="fetch no pictures")
    pictures.add_argument("--max-pixels", type=_positive(int), help="shrink larger pictures to this area, as 65536")
    pictures.add_argument("--workers", type=_positive(int), default=8, help="pictures at once (default: 8)")
    pictures.add_argument("--per-second", type=_positive(float), default=10, help="requests to one host (default: 10)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dataset_prep", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    known = ", ".join(source.category for source in amazon_sources().values())
    reviews = commands.add_parser("amazon", help="Amazon reviews of 2014, 2018 or 2023")
    reviews.add_argument("--category", required=True, help=f"as in the files' names: {known}, ...")
    reviews.add_argument("--release", choices=list(amazon.RELEASES), required=True)
    reviews.add_argument("--reviews", help="the review file, if it is here already")
    reviews.add_argument("--meta", help="the metadata file, if it is here already")
    reviews.add_argument("--raw", default="raw", help="where downloads go (default: raw)")
    reviews.add_argument("--name", help="of the data set (default: Amazon_Sports and the like)")
    reviews.set_defaults(action=_amazon)
    own = commands.add_parser("table", help="any CSV, JSON lines or Parquet, pictures in a folder or by address")
    own.add_argument("--name", required=True, help="of the data set")
    own.add_argument("--inter", required=True, help="interactions")
    own.add_argument("--user-col", default="user_id")
    own.add_argument("--item-col", default="item_id")
    own.add_argument("--time-col", help="numbers or ISO dates; without it the order of the rows is time")
    own.add_argument("--time-unit", choices=("s", "ms"), default="s")
    own.add_argument("--rating-col")
    own.add_argument("--items", help="a table of items")
    own.add_argument("--items-id-col", help="the id there (default: that of --item-col)")
    own.add_argument("--text-cols", nargs="+", metavar="COLUMN", help="fields to keep (default: all)")
    own.add_argument("--image-col", help="address or file name of the picture")
    own.add_argument("--images", help="folder of pictures: the files that --image-col names, or <item id>.jpg")
    own.set_defaults(action=_table)
    for command in (reviews, own):
        _add_common(command)
    given = commands.add_parser("mmrec", help="MMRec's .inter file with its split, as it is")
    given.add_argument("--inter", required=True)
    given.add_argument("--name", required=True)
    given.add_argument("--out", default="dataset")
    given.add_argument("--overwrite", action="store_true")
    given.set_defaults(action=_mmrec)
    sample = commands.add_parser("sample", help="a miniature of invented products")
    sample.add_argument("--name", default="Amazon_Sports", help="of the full data set (default: Amazon_Sports)")
    sample.add_argument("--out", default="dataset")
    sample.set_defaults(action=_sample)
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    """Run a command; return its exit status: 2 for wrong input (one line, no traceback), 130 for Ctrl-C."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    def action() -> None:
        try:
            args.action(args)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command goes on with what is there") from None

    return run_command(action)


if __name__ == "__main__":
    sys.exit(main())
