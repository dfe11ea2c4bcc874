"""``python -m dataset_prep``: raw files to a data set that every later stage reads."""

import argparse
import logging
import sys
from typing import Callable, List, Optional

from dataset_prep import amazon, commands, filters, prepare, splits
from dataset_prep.times import UNITS, seconds
from recbole_sda.cli.arguments import ArgumentParser
from recbole_sda.cli.exit_status import run_command
from recbole_sda.config.dataset_files import amazon_sources
from recbole_sda.validation import ANY, AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Range


def _time(text: str) -> float:
    try:
        return seconds(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds or a date as 2014-05-01") from None


def _number(allowed: Range = ANY, whole: bool = False) -> Callable[[str], float]:
    """Return a parser of finite numbers in a range."""

    def read(text: str) -> float:
        try:
            number: float = allowed.check("", int(text) if whole else float(text), whole)
        except ValueError:
            kind = "a whole number" if whole else "a number"
            raise argparse.ArgumentTypeError(f"{text[:40]!r}: expected {kind} {allowed}".rstrip()) from None
        return number

    return read


def _add_amazon(parsers: "argparse._SubParsersAction[ArgumentParser]") -> argparse.ArgumentParser:
    categories = ", ".join(source.category for source in amazon_sources().values())
    command = parsers.add_parser("amazon", help="Amazon reviews of 2014, 2018 or 2023")
    command.add_argument("--category", required=True, help=f"as in the files' names: {categories}, ...")
    command.add_argument("--release", choices=list(amazon.RELEASES), required=True)
    command.add_argument("--reviews", help="a review file on disk (default: download)")
    command.add_argument("--meta", help="a metadata file on disk (default: download)")
    command.add_argument("--raw", default="raw", help="folder of downloads (default: raw)")
    command.add_argument("--name", help="of the data set (default: Amazon_Sports and the like)")
    command.set_defaults(action=commands.prepare_amazon)
    return command


def _add_table(parsers: "argparse._SubParsersAction[ArgumentParser]") -> argparse.ArgumentParser:
    command = parsers.add_parser("table", help="any CSV, JSON lines or Parquet, images in a folder or by address")
    command.add_argument("--name", required=True, help="of the data set")
    command.add_argument("--inter", required=True, help="table of interactions")
    command.add_argument(
        "--columns",
        nargs="+",
        metavar="NAME",
        help="of --inter, where its first line is not a header: user_id item_id ...",
    )
    command.add_argument("--user-col", default="user_id")
    command.add_argument("--item-col", default="item_id")
    command.add_argument("--time-col", help="numbers or ISO dates (default: the order of the rows)")
    command.add_argument("--time-unit", choices=list(UNITS), default="s", help="of times that are numbers (default: s)")
    command.add_argument("--rating-col")
    command.add_argument("--items", help="table of items")
    command.add_argument("--items-id-col", help="column of the id in the table of items (default: --item-col)")
    command.add_argument(
        "--text-cols", nargs="+", metavar="COLUMN", help="columns that become text fields (default: all)"
    )
    command.add_argument("--title-col", metavar="COLUMN", help="column that becomes the field title")
    command.add_argument("--image-col", help="address or file name of the image")
    command.add_argument("--images", help="folder of images: the files that --image-col names, or <item id>.jpg")
    command.set_defaults(action=commands.prepare_table)
    return command


def _add_splits(parsers: "argparse._SubParsersAction[ArgumentParser]") -> None:
    command = parsers.add_parser("splits", help="a split of another toolkit, one file for each part")
    command.add_argument("--name", required=True, help="of the data set")
    command.add_argument("--train", required=True, help="table of the training interactions")
    command.add_argument("--valid", help="table of the validation interactions (default: there are none)")
    command.add_argument("--test", required=True, help="table of the test interactions")
    command.add_argument("--user-col", help="default: user_id")
    command.add_argument("--item-col", help="default: item_id")
    command.add_argument("--rating-col", help="default: rating or weight, where there is one")
    command.add_argument("--time-col", help="default: timestamp or datetime, where there is one")
    command.add_argument("--time-unit", choices=list(UNITS), default="s", help="of times that are numbers (default: s)")
    command.add_argument(
        "--columns",
        nargs="+",
        metavar="NAME",
        help="of the files, where their first line is not a header: user_id item_id rating timestamp",
    )
    command.add_argument("--out", default="dataset", help="folder of data sets (default: dataset)")
    command.add_argument("--overwrite", action="store_true", help="replace a data set of another origin")
    command.set_defaults(action=commands.prepare_splits)


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", default="dataset", help="folder of data sets (default: dataset)")
    command.add_argument(
        "--overwrite", action="store_true", help="replace a data set that was not made by this command"
    )
    command.add_argument(
        "--all-items",
        action="store_true",
        help="keep items without interactions, before or after the filters, in items.jsonl: as new items, for `recommend`",
    )
    used = command.add_argument_group("filters")
    used.add_argument(
        "--k-core",
        type=_number(NOT_NEGATIVE, whole=True),
        default=5,
        help="least interactions of users and items (default: 5; 0: no limit)",
    )
    used.add_argument(
        "--filter", choices=prepare.FILTERS, default="iterative", help="repeat until all have k, or filter in one pass"
    )
    used.add_argument(
        "--repetitions", choices=filters.REPETITIONS, default="first", help="which of a user's with the same item"
    )
    used.add_argument("--min-rating", type=_number(), help="lowest rating that is used")
    used.add_argument(
        "--max-history",
        type=_number(AT_LEAST_ONE, whole=True),
        help="number of each user's most recent interactions that are used",
    )
    used.add_argument("--start", type=_time, help="earliest time, as 2014-05-01 or in seconds")
    used.add_argument("--end", type=_time, help="interactions before this time")
    split = command.add_argument_group("a split that is written to files (without one, RecBole splits)")
    split.add_argument("--split", choices=splits.SPLITS, default="none")
    split.add_argument(
        "--ratio", type=_number(NOT_NEGATIVE), nargs=3, default=(8, 1, 1), metavar=("TRAIN", "VALID", "TEST")
    )
    split.add_argument("--split-at", type=_time, nargs=2, metavar=("VALID", "TEST"), help="times, with --split time")
    images = command.add_argument_group("images")
    images.add_argument("--no-images", action="store_true", help="fetch no images")
    images.add_argument(
        "--max-pixels", type=_number(AT_LEAST_ONE, whole=True), help="shrink larger images to this area, as 65536"
    )
    images.add_argument(
        "--workers", type=_number(AT_LEAST_ONE, whole=True), default=8, help="images in parallel (default: 8)"
    )
    images.add_argument("--per-second", type=_number(POSITIVE), default=10, help="requests to one host (default: 10)")
    images.add_argument(
        "--private-addresses",
        action="store_true",
        help="also fetch from addresses of this machine and of private networks",
    )


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(prog="python -m dataset_prep", description=__doc__)
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (_add_amazon(parsers), _add_table(parsers)):
        _add_common(command)
    mmrec = parsers.add_parser("mmrec", help="an .inter file of MMRec with its published split")
    mmrec.add_argument("--inter", required=True)
    mmrec.add_argument("--name", required=True)
    mmrec.add_argument("--out", default="dataset")
    mmrec.add_argument("--overwrite", action="store_true")
    mmrec.set_defaults(action=commands.prepare_mmrec)
    _add_splits(parsers)
    sample = parsers.add_parser("sample", help="a miniature of invented products")
    sample.add_argument("--name", default="Amazon_Sports", help="of the full data set (default: Amazon_Sports)")
    sample.add_argument("--out", default="dataset")
    sample.set_defaults(action=commands.prepare_sample)
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    """Run a command; return its exit status: 2 for invalid input (one line, no traceback), 130 for Ctrl-C."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    def action() -> None:
        try:
            args.action(args)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command continues where it stopped") from None

    return run_command(action)


if __name__ == "__main__":
    sys.exit(main())
