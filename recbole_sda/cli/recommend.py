"""The command ``recommend``: the best items of each user, from a run, perhaps re-ranked for diversity."""

import argparse
import logging
from pathlib import Path
from typing import Any, Dict, List, Optional

from recbole_sda.errors import InputError
from recbole_sda.io.ids import id_text
from recbole_sda.io.text import read_lines

logger = logging.getLogger(__name__)


def add_recommend(commands: Any) -> None:
    """Add the command to those of a parser."""
    recommend = commands.add_parser(
        "recommend",
        help="the best items of each user, from a run",
        description="Scores all items for users of a run's data set, from all their known interactions.",
    )
    recommend.add_argument("run", help="run folder")
    recommend.add_argument("--out", required=True, help="a file: .parquet, .csv, or .html (images and titles)")
    recommend.add_argument("--users", help="ids separated by commas, or a file with one id per line (default: all)")
    recommend.add_argument("--k", type=int, default=10, help="items per user (default: 10)")
    recommend.add_argument(
        "--repeat",
        action=argparse.BooleanOptionalAction,
        help="whether items that a user already has can be recommended (default: as in the run's evaluation, see mask_history)",
    )
    recommend.add_argument(
        "--rerank", choices=("mmr",), help="mmr: more diverse lists by maximal marginal relevance (default: none)"
    )
    recommend.add_argument(
        "--mmr-lambda",
        type=float,
        metavar="L",
        help="weight of the score against the similarity, 0 to 1 (default: 0.7)",
    )
    recommend.add_argument(
        "--rerank-candidates", type=int, metavar="N", help="best items of a user that can be in the list (default: 100)"
    )
    recommend.add_argument(
        "--rerank-features",
        metavar="STORE/MODALITY",
        help="vectors of the similarity (default: text of the default store)",
    )
    recommend.add_argument("--data_path", metavar="FOLDER", help="folder of the data sets (default: that of the run)")
    recommend.add_argument("--items", help="items.jsonl with titles and images (default: that of the data set)")
    recommend.add_argument("--title-field", metavar="FIELD", help="field of the titles (default: title, or else name)")
    recommend.add_argument(
        "--new-items", metavar="STORE", help="feature store with items that were added after training"
    )
    recommend.add_argument("--new-titles", metavar="FILE", help="items.jsonl of the new items")
    recommend.set_defaults(action=_recommend)


def recommender_of(args: argparse.Namespace, new_items: Optional[str] = None, repeat: Optional[bool] = None) -> Any:
    """Return the recommender of a run, with its data in ``--data_path`` where that is given."""
    from recbole_sda.recommend.recommender import Recommender

    return Recommender(args.run, new_items, repeat, {"data_path": args.data_path} if args.data_path else None)


def _recommend(args: argparse.Namespace, keys: Dict[str, Any]) -> None:
    from recbole_sda.recommend.item_titles import read_titles
    from recbole_sda.recommend.output import MAX_SHOWN, check_out, with_titles, write_page, write_table

    refuse_keys("recommend", keys)
    if args.new_titles and not args.new_items:
        raise InputError("--new-titles needs --new-items, the feature store of the same items")
    out = Path(args.out)
    check_out(out)
    users = users_of(args.users)
    recommender = recommender_of(args, args.new_items, args.repeat)
    rerank = _rerank(args, recommender)
    config = recommender.run.config
    titles = read_titles(
        Path(config["data_path"]), config["dataset"], args.items, config["ITEM_ID_FIELD"], args.title_field
    )
    if args.new_titles:
        titles |= read_titles(Path(args.new_titles).parent, "", args.new_titles, title_field=args.title_field)
    if out.suffix != ".html":
        n_lines = write_table((with_titles(block, titles) for block in recommender.top(users, args.k, rerank)), out)
        logger.info("%s: %d lines", out, n_lines)
        return
    n_users = len(recommender.user_ids if users is None else users)
    if users is None:
        users = list(recommender.user_ids)[:MAX_SHOWN]
    title = f"{config['model']} on {config['dataset']}: the first {args.k} for each user"
    repeated = "may be" if recommender.repeat else "are not"
    about = (
        f"Run {args.run}. All known interactions of a user count; items that a user already has {repeated} recommended."
    )
    if rerank is not None:
        about += f" Re-ranked for diversity by maximal marginal relevance, lambda {rerank.weight:g}."
    n_shown = write_page(recommender.top(users, args.k, rerank), out, titles, recommender.history, title, about)
    limit = f" of {n_users}; a page shows no more, .csv and .parquet have all" if n_shown < n_users else ""
    logger.info("%s: %d users%s", out, n_shown, limit)


def _rerank(args: argparse.Namespace, recommender: Any) -> Any:
    """Return the re-ranking that was asked for, and log what it changes on validation data; None: none."""
    from recbole_sda.recommend.rerank_effect import rerank_effect

    if args.rerank is None:
        for option in ("mmr_lambda", "rerank_candidates", "rerank_features"):
            if getattr(args, option) is not None:
                raise InputError(f"--{option.replace('_', '-')} needs --rerank=mmr")
        return None
    weight = 0.7 if args.mmr_lambda is None else args.mmr_lambda
    candidates = 100 if args.rerank_candidates is None else args.rerank_candidates
    rerank = recommender.mmr(weight, candidates, args.rerank_features)
    if args.k > candidates:
        raise InputError(f"--rerank-candidates {candidates}: expected at least --k, {args.k}")
    effect = rerank_effect(recommender.run, rerank, min(args.k, recommender.dataset.item_num - 1))
    if effect is None:
        logger.info("re-ranking: no validation data with full sort, so its effect is not known")
    else:
        logger.info("re-ranking, lambda %g, on %d validation lists: %s", weight, effect.n_lists, effect)
    return rerank


def refuse_keys(command: str, keys: Dict[str, Any]) -> None:
    """Refuse ``--key=value`` for a command that takes no configuration keys."""
    if keys:
        raise InputError(f"--{next(iter(keys))} is not an option of {command}; see --help")


def users_of(text: Optional[str]) -> Optional[List[str]]:
    """Return the users of ``--users``: ids separated by commas, or those of a file with one id per line; None: all."""
    if text is None:
        return None
    is_file = "," not in text and Path(text).is_file()
    words = read_lines(text) if is_file else text.split(",")
    users = list(dict.fromkeys(filter(None, map(id_text, words))))
    if not users:
        raise InputError(f"--users={text}: has no user id")
    return users
