"""Commands over many runs: compare, report, recommend."""

import argparse
import logging
from pathlib import Path
from typing import Any, Dict, List, Optional

from recbole_sda.cli.run import run_command, split_arguments
from recbole_sda.engine.run_folder import start_logging
from recbole_sda.errors import InputError
from recbole_sda.io.text import read_lines
from recbole_sda.io.yaml import parse_value

logger = logging.getLogger(__name__)


def keys_of(words: List[str]) -> Dict[str, Any]:
    """Read the rest of a command line, ``--key=value``, as YAML values."""
    return {key: parse_value(key, value) for key, value in split_arguments(words).items()}


def add_ray_options(parser: argparse.ArgumentParser) -> None:
    """Add what every command that runs many trainings takes."""
    parser.add_argument("--parallel", type=int, default=1, metavar="N", help="runs at once (default: 1)")
    parser.add_argument(
        "--gpus", type=float, default=0.0, metavar="SHARE", help="of a GPU for each run, as 0.5 (default: 0)"
    )
    parser.add_argument("--address", help="of a Ray cluster, `auto` for this machine's; its machines share the folders")


def check_ray_options(args: argparse.Namespace) -> None:
    """Refuse what makes no sense."""
    if args.parallel < 1:
        raise InputError(f"--parallel={args.parallel}: expected a whole number of at least 1")
    if args.gpus < 0:
        raise InputError(f"--gpus={args.gpus:g}: expected 0 or more")


def _compare(args: argparse.Namespace, keys: Dict[str, Any]) -> None:
    from recbole_sda.comparison.plan import find_plan, read_plan
    from recbole_sda.comparison.runner import run_cells
    from recbole_sda.comparison.tables import compare_runs, to_markdown, write_tables

    check_ray_options(args)
    path = find_plan(args.plan)
    plan = read_plan(path, args.out or f"runs/compare/{path.stem}", keys)
    cells = plan.cells()
    for cell in [*cells, *plan.done_besides()]:
        cell.check()
    if args.list:
        for cell in cells:
            print(f"{'done' if cell.is_done else 'to do':6} {cell}  ({cell.folder})")
        return
    failed = {}
    if not args.table:
        try:
            failed = run_cells(cells, args.parallel, args.gpus, args.address)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command goes on with the comparison") from None
    found = compare_runs(plan)
    if found["rows"]:
        print(to_markdown(found))
        logger.info("written: %s", ", ".join(str(path) for path in write_tables(found, plan.out)))
    if failed:
        lines = "".join(f"\n  {name}: {message}" for name, message in failed.items())
        raise InputError(f"{len(failed)} of {len(cells)} runs failed; the same command tries them again:{lines}")
    if not found["rows"]:
        raise InputError(f"{plan.out} holds no finished run of this comparison")


def _recommend(args: argparse.Namespace, keys: Dict[str, Any]) -> None:
    from recbole_sda.recommend.item_titles import read_titles
    from recbole_sda.recommend.output import MAX_SHOWN, check_out, with_titles, write_page, write_table
    from recbole_sda.recommend.recommender import Recommender

    _no_keys("recommend", keys)
    if args.new_titles and not args.new_items:
        raise InputError("--new-titles belongs to --new-items, the feature store of the same items")
    out = Path(args.out)
    check_out(out)
    users = _users(args.users)
    recommender = Recommender(args.run, args.new_items, args.repeat)
    config = recommender.run.config
    items = read_titles(Path(config["data_path"]), config["dataset"], args.items, config["ITEM_ID_FIELD"])
    if args.new_titles:
        items |= read_titles(Path(args.new_titles).parent, "", args.new_titles)
    if out.suffix == ".html":
        n_users = len(recommender.users if users is None else users)
        if users is None:
            users = list(recommender.users)[:MAX_SHOWN]
        title = f"{config['model']} on {config['dataset']}: the first {args.k} for each user"
        again = "may be" if args.repeat else "is not"
        about = f"Run {args.run}. All interactions known of a user count; what a user has {again} recommended again."
        n = write_page(recommender.top(users, args.k), out, items, recommender.history, title, about)
        logger.info(
            "%s: %d users%s", out, n, "" if n == n_users else f" of {n_users}; a page shows no more, .csv has all"
        )
        return
    n = write_table((with_titles(block, items) for block in recommender.top(users, args.k)), out)
    logger.info("%s: %d lines", out, n)


def _report(args: argparse.Namespace, keys: Dict[str, Any]) -> None:
    _no_keys("report", keys)
    try:
        from recbole_sda.report.report import write_report
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise InputError("reports need matplotlib: pip install -e '.[report]'") from None

    print(write_report(args.folders, args.out, args.title))


def _no_keys(command: str, keys: Dict[str, Any]) -> None:
    if keys:
        raise InputError(f"--{next(iter(keys))} is not an option of {command}; see --help")


def _users(text: Optional[str]) -> Optional[List[str]]:
    """Return the users that were asked for: ids with commas between them, or a file with one per line; None: all."""
    if text is None:
        return None
    is_file = "," not in text and Path(text).is_file()
    words = read_lines(text) if is_file else text.split(",")
    users = list(dict.fromkeys(word.strip() for word in words if word.strip()))
    if not users:
        raise InputError(f"--users={text}: holds no user")
    return users


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recbole-sda", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    compare = commands.add_parser(
        "compare",
        help="models x data sets x seeds from one YAML file, with tests",
        description="Runs every model of the file on every data set and seed, and compares them. What is done is never "
        "run again: the same command goes on after Ctrl-C. Further --key=value are keys of all runs; --datasets, --seeds "
        "and --metrics replace the file's, and --models=[...] names the rows to run; the table has all that are done.",
    )
    compare.add_argument("plan", help="a YAML file, or the name of one of properties/experiments/")
    compare.add_argument("--out", help="folder of runs and tables (default: runs/compare/<name>)")
    add_ray_options(compare)
    compare.add_argument("--list", action="store_true", help="say which runs are done, run nothing")
    compare.add_argument("--table", action="store_true", help="make the table of what is done, run nothing")
    compare.set_defaults(action=_compare)

    report = commands.add_parser(
        "report",
        help="one page, Markdown and LaTeX tables, and pictures from run folders",
        description="Reads folders of comparisons, of runs, of adaptations (lvlm adapt) and of gradient measures (lvlm "
        "gradients), in any number and order.",
    )
    report.add_argument("folders", nargs="+", metavar="FOLDER", help="what the report is about")
    report.add_argument("--out", default="report", help="folder of index.html and the rest (default: report)")
    report.add_argument("--title", help="of the page")
    report.set_defaults(action=_report)

    recommend = commands.add_parser(
        "recommend",
        help="the best items of each user, from a run",
        description="Scores the catalogue for users of a run's data set, judged by all their interactions.",
    )
    recommend.add_argument("run", help="run folder")
    recommend.add_argument("--out", required=True, help="a file: .parquet, .csv, or .html (pictures and titles)")
    recommend.add_argument("--users", help="ids with commas between them, or a file with one per line (default: all)")
    recommend.add_argument("--k", type=int, default=10, help="items per user (default: 10)")
    recommend.add_argument("--repeat", action="store_true", help="also what a user has already")
    recommend.add_argument("--items", help="items.jsonl with titles and pictures (default: the data set's)")
    recommend.add_argument("--new-items", metavar="STORE", help="feature store with items that came after training")
    recommend.add_argument("--new-titles", metavar="FILE", help="items.jsonl of the new items")
    recommend.set_defaults(action=_recommend)
    return parser


def main(argv: List[str]) -> int:
    """Run a command and return its exit status."""
    args, rest = _parser().parse_known_args(argv)

    def action() -> None:
        start_logging("info")
        logging.getLogger("recbole_sda.config.run_config").setLevel(logging.ERROR)
        args.action(args, keys_of(rest))

    return run_command(action)
