"""The command serve: a run behind HTTP."""

import argparse
import logging
from pathlib import Path
from typing import Any, Dict, List

from recbole_sda.cli.arguments import ArgumentParser
from recbole_sda.cli.exit_status import program, run_command
from recbole_sda.cli.experiments import keys_of
from recbole_sda.cli.recommend import refuse_keys
from recbole_sda.cli.user_models import allow_user_models
from recbole_sda.errors import InputError
from recbole_sda.io.logs import start_logging
from recbole_sda.serve.limits import Limits
from recbole_sda.validation import Range

MAX_BODY = 2**28  # bytes


def _serve(args: argparse.Namespace, keys: Dict[str, Any]) -> None:
    limits = _limits(args)
    if args.new_titles and not args.new_items:
        raise InputError("--new-titles needs --new-items, the feature store of the same items")
    overrides = {"data_path": keys.pop("data_path")} if "data_path" in keys else {}
    refuse_keys("serve", keys)
    try:
        from recbole_sda.serve.app import create_app
        from recbole_sda.serve.server import bound_socket, run_server
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn", "prometheus_client"):
            raise
        raise InputError(f"serve needs {error.name}: pip install -e '.[serve]'") from None
    from recbole_sda.recommend.item_titles import read_rows, read_titles
    from recbole_sda.recommend.recommender import Recommender
    from recbole_sda.serve.item_fields import item_fields
    from recbole_sda.serve.service import columns_of_items, opened

    with bound_socket(args.host, args.port) as bound:
        recommender = Recommender(args.run, args.new_items, args.repeat, overrides)
        config = recommender.run.config
        place = (Path(config["data_path"]), config["dataset"], args.items, config["ITEM_ID_FIELD"])
        items = read_titles(*place, args.title_field)
        sources = [rows for rows in [read_rows(*place)] if rows]
        if args.new_titles:
            new = (Path(args.new_titles).parent, "", args.new_titles)
            items |= read_titles(*new, title_field=args.title_field)
            sources += [rows for rows in [read_rows(*new)] if rows]
        titles = {token: item.title for token, item in items.items() if item.title}
        names = [] if args.filter_fields is None else list(dict.fromkeys(args.filter_fields.split(",")))
        fields = item_fields(names, sources, columns_of_items(recommender), config["seq_separator"] or " ")
        with opened(recommender, titles, fields, args.index) as service:
            run_server(create_app(service, limits), bound, f"{args.run}: {config['model']} on {config['dataset']}")


def _limits(args: argparse.Namespace) -> Limits:
    def checked(name: str, high: int) -> int:
        value: int = Range(1, high, closed_high=True).check(f"--max-{name}", getattr(args, f"max_{name}"), whole=True)
        return value

    return Limits(
        k=checked("k", 10**6),
        batch=checked("batch", 10**5),
        session=checked("session", 10**6),
        ids=checked("ids", 10**7),
        body=checked("body", MAX_BODY),
    )


def _parser() -> argparse.ArgumentParser:
    default = Limits()
    parser = ArgumentParser(
        prog=f"{program()} serve",
        description="Answers POST /recommend and /recommend/batch with the best items of users, or after sessions of items, from a "
        "run or an ensemble. GET / describes the service; docs/serving.md has examples. The service has no accounts and no "
        "encryption: it belongs behind a server that has them.",
    )
    parser.add_argument("run", help="run folder, of an ensemble too")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine alone)"
    )
    parser.add_argument("--port", type=int, default=8000, help="0: any free one (default: 8000)")
    parser.add_argument(
        "--index", choices=("exact", "faiss"), default="exact",
        help="exact scores of all items, or an approximate search, whose recall is logged at the start (default: exact)",
    )  # fmt: skip
    parser.add_argument(
        "--repeat",
        action=argparse.BooleanOptionalAction,
        help="whether items that a user already has can be recommended where a request has no exclude_known (default: as in the "
        "run's evaluation, see mask_history)",
    )
    parser.add_argument("--new-items", metavar="STORE", help="feature store with items that were added after training")
    parser.add_argument("--new-titles", metavar="FILE", help="items.jsonl of the new items: titles and fields")
    parser.add_argument("--items", help="items.jsonl with titles and fields (default: that of the data set)")
    parser.add_argument("--title-field", metavar="FIELD", help="field of the titles (default: title, or else name)")
    parser.add_argument(
        "--filter-fields", metavar="FIELDS", help="fields by which requests can filter, as categories,brand"
    )
    for name, text in {
        "k": "items of an answer",
        "batch": "users or sessions of a batch",
        "session": "items of a session",
        "ids": "ids of an allow-list or a deny-list",
        "body": "bytes of a request",
    }.items():
        value = getattr(default, name)
        parser.add_argument(f"--max-{name}", type=int, default=value, metavar="N", help=f"{text} (default: {value})")
    return parser


def main(argv: List[str]) -> int:
    """Run the command and return its exit status."""
    args, rest = _parser().parse_known_args(argv)

    def action() -> None:
        start_logging("info")
        logging.getLogger("recbole_sda.config.run_config").setLevel(logging.ERROR)
        keys = keys_of(rest)
        allow_user_models(keys)
        _serve(args, keys)

    return run_command(action)
