"""Commands over many runs: compare, report, recommend."""

import argparse
import logging
from typing import Any, Dict, List

from recbole_sda.command import guarded, split_arguments
from recbole_sda.errors import InputError
from recbole_sda.files import parse_value
from recbole_sda.results import start_logging

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
    from recbole_sda.compare.plan import find_plan, read_plan
    from recbole_sda.compare.schedule import run_cells
    from recbole_sda.compare.tables import compare_runs, to_markdown, write_tables

    check_ray_options(args)
    path = find_plan(args.plan)
    plan = read_plan(path, args.out or f"runs/compare/{path.stem}", keys)
    cells = plan.cells()
    for cell in cells:
        cell.check()
    if args.list:
        for cell in cells:
            print(f"{'done' if cell.is_done else 'to do':6} {cell}  ({cell.folder})")
        return
    failed = run_cells(cells, args.parallel, args.gpus, args.address) if not args.table else {}
    found = compare_runs(plan)
    if found["rows"]:
        print(to_markdown(found))
        logger.info("written: %s", ", ".join(str(path) for path in write_tables(found, plan.out)))
    if failed:
        lines = "".join(f"\n  {name}: {message}" for name, message in failed.items())
        raise InputError(f"{len(failed)} of {len(cells)} runs failed; the same command tries them again:{lines}")
    if not found["rows"]:
        raise InputError(f"{plan.out} holds no finished run of this comparison")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recbole-sda", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    compare = commands.add_parser(
        "compare",
        help="models x data sets x seeds from one YAML file, with tests",
        description="Runs every model of the file on every data set and seed, and compares them. What is done is never "
        "run again: the same command goes on after Ctrl-C. Further --key=value are keys of all runs; --datasets, --seeds "
        "and --metrics replace the file's.",
    )
    compare.add_argument("plan", help="a YAML file, or the name of one of properties/experiments/")
    compare.add_argument("--out", help="folder of runs and tables (default: runs/compare/<name>)")
    add_ray_options(compare)
    compare.add_argument("--list", action="store_true", help="say which runs are done, run nothing")
    compare.add_argument("--table", action="store_true", help="make the table of what is done, run nothing")
    compare.set_defaults(action=_compare)
    return parser


def main(argv: List[str]) -> int:
    """Run a command and return its exit status."""
    args, rest = _parser().parse_known_args(argv)

    def action() -> None:
        start_logging("info")
        logging.getLogger("recbole_sda.config").setLevel(logging.ERROR)
        args.action(args, keys_of(rest))

    return guarded(action)
