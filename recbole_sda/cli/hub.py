"""``python -m recbole_sda hub``: push and pull feature stores, adapters and runs on the Hugging Face Hub."""

import argparse
import logging
from typing import Any, List

from recbole_sda.cli.arguments import ArgumentParser
from recbole_sda.cli.exit_status import program, run_command


def _push(args: argparse.Namespace) -> None:
    from recbole_sda.hub.push import preview, push

    if args.dry_run:
        print(preview(args.path, args.repo, args.license, args.comparison), end="")
        return
    print(push(args.path, args.repo, args.private, args.license, args.revision, args.message, args.comparison))


def _pull(args: argparse.Namespace) -> None:
    from recbole_sda.hub.pull import pull

    print(pull(args.repo, args.out, args.data_path, args.max_gib))


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        prog=f"{program()} hub",
        description="Push and pull feature stores, adapters and runs. A token comes from `hf auth login` or the variable HF_TOKEN.",
    )
    actions = parser.add_subparsers(dest="action_name", required=True, metavar="ACTION")
    _add_push(actions)
    _add_pull(actions)
    return parser


def _add_push(actions: Any) -> None:
    push = actions.add_parser("push", help="upload a feature store, an adapter or a finished run with a generated card")
    push.add_argument("path", help="folder of a feature store, an adaptation, an exported adapter, or a run")
    push.add_argument("repo", metavar="OWNER/NAME", help="repository; it is created where it is missing")
    push.add_argument("--private", action="store_true", help="make a new repository private")
    push.add_argument("--license", help="identifier of the license on the Hub, as mit, apache-2.0, cc-by-4.0")
    push.add_argument("--revision", help="branch; it is created where it is missing (default: the default branch)")
    push.add_argument("--message", help="of the commit")
    push.add_argument(
        "--comparison",
        metavar="FOLDER",
        help="folder of the comparison that a run belongs to, for the card (default: its own)",
    )
    push.add_argument("--dry-run", action="store_true", help="print the card; upload nothing")
    push.set_defaults(action=_push)


def _add_pull(actions: Any) -> None:
    pull = actions.add_parser("pull", help="download what was pushed, and check it")
    pull.add_argument("repo", metavar="OWNER/NAME[@REVISION]", help="repository, and a branch, tag or commit of it")
    pull.add_argument("--out", help="folder to write (default: the repository's name)")
    pull.add_argument("--data-path", help="of a run: folder of the data sets, in place of the one in its configuration")
    pull.add_argument("--max-gib", type=float, default=64.0, help="largest size in GiB (default: 64)")
    pull.set_defaults(action=_pull)


def main(argv: List[str]) -> int:
    """Run a command on the Hub and return its exit status."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for library in ("httpx", "httpx2", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)
    return run_command(lambda: args.action(args))
