"""``python -m recbole_sda features``: import, extract and inspect feature stores, choose the default one, and make semantic ids."""

import argparse
import logging
from typing import Any, Dict, List, Optional

from texttable import Texttable

from recbole_sda.cli.arguments import ArgumentParser
from recbole_sda.cli.exit_status import program, run_command
from recbole_sda.errors import InputError


def _pairs(values: Optional[List[str]], option: str) -> Dict[str, str]:
    """Read ``name=value`` words; a word without `=`, or a name twice, is an InputError."""
    pairs = {}
    for word in values or []:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise InputError(f"{option} {word!r}: expected MODALITY=VALUE, as in image=image_emb.npy")
        if name in pairs:
            raise InputError(f"{option} {word!r}: {name} is given twice")
        pairs[name] = value
    return pairs


def _import(args: argparse.Namespace) -> None:
    from recbole_sda.features import importers as sources
    from recbole_sda.features.writer import write_store
    from recbole_sda.io.atomic_folder import folder_lock

    if args.npy:
        if not args.ids:
            raise InputError("--npy needs --ids, a text file with one item id per line")
        vectors = sources.from_npy(_pairs(args.npy, "--npy"), args.ids, _pairs(args.present, "--present"))
    elif args.parquet:
        columns = _pairs(args.columns, "--columns")
        if not columns:
            raise InputError("--parquet needs --columns, as in --columns image=image_emb text=text_emb")
        vectors = sources.from_parquet(args.parquet, columns, args.id_column)
    else:
        vectors = sources.from_itememb(args.itememb, args.modality)
    encoder = {"model": args.encoder, "revision": args.revision}
    record = {"encoder": encoder, "pooling": args.pooling, "prompt": args.prompt, "imported_from": vectors.source}
    with folder_lock(args.out):
        path = write_store(args.out, vectors.item_ids, vectors.features, vectors.present, record, args.overwrite)
    _inspect(argparse.Namespace(store=str(path)))


def _extract(args: argparse.Namespace) -> None:
    from recbole_sda.features.extract import extract_light

    if args.dim < 1:
        raise InputError(f"--dim {args.dim}: expected at least 1")
    path = extract_light(args.items, args.out, args.dim, args.text_fields or (), args.overwrite)
    _inspect(argparse.Namespace(store=str(path)))


def _inspect(args: argparse.Namespace) -> None:
    from recbole_sda.features.inspect import describe
    from recbole_sda.features.store import FeatureStore

    store = FeatureStore(args.store)
    encoder = store.manifest.get("encoder") or {}
    print(f"{store.path}: {len(store.item_ids)} items, sha256 {store.sha256[:12]}")
    print("encoder: " + (", ".join(f"{k} {v}" for k, v in encoder.items() if v) or "not recorded"))
    table = Texttable(max_width=0)
    table.set_deco(Texttable.HEADER)
    names = ("modality", "dim", "dtype", "present", "missing", "norm", "mean cosine", "effective rank", "duplicates")
    table.set_cols_dtype(["t"] * len(names))
    table.set_cols_align(["l", "r", "l"] + ["r"] * (len(names) - 3))
    table.header(names)
    for row in describe(store):
        norm = f"{row.norm_mean:.3g} ± {row.norm_std:.2g} ({row.norm_min:.3g} to {row.norm_max:.3g})"
        cells = (row.modality, row.dim, row.dtype, row.present, row.missing, norm)
        table.add_row([*cells, f"{row.mean_cosine:.3f}", f"{row.effective_rank:.1f}", row.duplicate_rows])
    print(table.draw())


def _default(args: argparse.Namespace) -> None:
    from recbole_sda.features.store_choice import set_default

    path = set_default(args.store)
    print(f"{path.parents[1].name}: runs read {path.name} unless --features=NAME names another")


def _semantic_ids(args: argparse.Namespace) -> None:
    from pathlib import Path

    from recbole_sda.features.importers import read_ids
    from recbole_sda.features.semantic_id_forms import MAX_LEVELS, check_target, write_semantic_ids
    from recbole_sda.features.semantic_ids import DEFAULT_VIEWS, semantic_ids
    from recbole_sda.features.store import FeatureStore
    from recbole_sda.validation import AT_LEAST_ONE, Range

    check_target(Path(args.out), args.form)
    levels = Range(1, MAX_LEVELS, closed_high=True).check("--levels", args.levels, whole=True)
    if len(args.codes) not in (1, levels):
        raise InputError(
            f"--codes has {len(args.codes)} numbers: expected one for all levels, or one for each of {levels}"
        )
    sizes = [AT_LEAST_ONE.check("--codes", size, whole=True) for size in args.codes]
    Range(0, 2**32).check("--seed", args.seed, whole=True)
    store = FeatureStore(args.store)
    modalities = None if args.modality == "both" else [args.modality]
    item_ids = None if args.ids is None else read_ids(args.ids)
    views = DEFAULT_VIEWS if args.views is None else args.views
    ids = semantic_ids(store, sizes * levels if len(sizes) == 1 else sizes, args.seed, modalities, views, item_ids)
    paths = write_semantic_ids(ids, Path(args.out), args.form)
    _print_quality(ids.record)
    print("written: " + ", ".join(map(str, paths)))


def _print_quality(record: Dict[str, Any]) -> None:
    quality = record["quality"]
    print(
        f"{record['items']} items, {record['items_without_vector']} without a vector; {quality['distinct']} distinct codes, "
        f"collision rate {quality['collision_rate']:.4f}, {quality['unique']:.1%} of the items alone with their codes, largest "
        f"group {quality['largest_group']}; last token 0 to {record['last_token_values'] - 1}"
    )
    table = Texttable(max_width=0)
    table.set_deco(Texttable.HEADER)
    names = ("level", "codes", "unused", "entropy (bits)", "perplexity", "error", "neighbours kept", "by chance")
    table.set_cols_dtype(["t"] * len(names))
    table.set_cols_align(["r"] * len(names))
    table.header(names)
    for number, (size, level) in enumerate(zip(record["sizes"], quality["levels"]), 1):
        figures = (f"{level['entropy']:.3f}", f"{level['perplexity']:.1f}", f"{level['error']:.3f}")
        table.add_row([number, size, level["unused"], *figures, f"{level['neighbours']:.4f}", f"{level['chance']:.6f}"])
    print(table.draw())


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(prog=f"{program()} features", description=__doc__)
    actions = parser.add_subparsers(dest="action_name", required=True, metavar="ACTION")
    _add_import(actions)
    _add_extract(actions)
    inspect = actions.add_parser("inspect", help="encoder, widths, coverage, norms, effective rank, duplicate rows")
    inspect.add_argument("store", help="directory of a feature store")
    inspect.set_defaults(action=_inspect)
    default = actions.add_parser("default", help="make a store the one that runs read where none is named")
    default.add_argument("store", help="directory of a feature store: <data_path>/<dataset>/features/<name>")
    default.set_defaults(action=_default)
    _add_semantic_ids(actions)
    return parser


def _add_import(actions: Any) -> None:
    command = actions.add_parser("import", help="vectors made elsewhere: npy with ids, parquet, or RecBole's .itememb")
    command.add_argument("--out", required=True, help="the store to write: <data_path>/<dataset>/features/<name>")
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("--npy", nargs="+", metavar="MODALITY=FILE", help="matrices (n_items, dim), as image=image.npy")
    source.add_argument("--parquet", metavar="FILE", help="an id column and one list column per modality")
    source.add_argument("--itememb", metavar="FILE", help="RecBole atomic file <id>:token <vector>:float_seq")
    command.add_argument("--ids", metavar="FILE", help="with --npy: one item id per line, in row order")
    command.add_argument("--present", nargs="+", metavar="MODALITY=FILE", help="with --npy: bool vectors (n_items,)")
    command.add_argument("--columns", nargs="+", metavar="MODALITY=COLUMN", help="with --parquet")
    command.add_argument("--id-column", default="item_id", help="with --parquet (default: item_id)")
    command.add_argument(
        "--modality", default="text", help="with --itememb: the modality of the vectors (default: text)"
    )
    command.add_argument("--encoder", help="recorded: the model that made the vectors")
    command.add_argument("--revision", help="recorded: its revision")
    command.add_argument("--pooling", help="recorded: how hidden states became one vector")
    command.add_argument("--prompt", help="recorded: the prompt")
    _add_overwrite(command)
    command.set_defaults(action=_import)


def _add_extract(actions: Any) -> None:
    command = actions.add_parser("extract", help="light features from texts and images, without a large model")
    command.add_argument("--items", required=True, help="items.jsonl: item_id, image (a path or null), text fields")
    command.add_argument("--out", required=True, help="the store to write")
    command.add_argument("--dim", type=int, default=64, help="largest width of each modality (default: 64)")
    command.add_argument("--text-fields", nargs="+", metavar="FIELD", help="fields of the text (default: all)")
    _add_overwrite(command)
    command.set_defaults(action=_extract)


def _add_semantic_ids(actions: Any) -> None:
    command = actions.add_parser(
        "semantic-ids",
        help="codes of the items by residual k-means of their vectors, for generative recommenders and for the key id_codes",
        description="Clusters the vectors level by level. A last token tells items of equal codes apart. Prints the quality of the "
        "codes and writes it beside the file.",
    )
    command.add_argument("store", help="directory of a feature store")
    command.add_argument("--out", required=True, help="the file to write: .json, or .pt with --form=grid")
    command.add_argument("--levels", type=int, default=3, help="tokens of an item beside the last one (default: 3)")
    command.add_argument(
        "--codes",
        type=int,
        nargs="+",
        default=[256],
        metavar="N",
        help="codes of all levels, or of each (default: 256)",
    )
    command.add_argument(
        "--modality", default="both", help="text, image, ..., or both: all of the store (default: both)"
    )
    command.add_argument(
        "--form",
        choices=("json", "tiger", "grid", "minionerec"),
        default="json",
        help="see docs/semantic_ids.md (default: json)",
    )
    command.add_argument("--views", nargs="*", metavar="STEP", help="transforms, as feature_views (default: center l2)")
    command.add_argument(
        "--ids", metavar="FILE", help="the items and their order, one id per line (default: the store's)"
    )
    command.add_argument("--seed", type=int, default=0, help="of the k-means (default: 0)")
    command.set_defaults(action=_semantic_ids)


def _add_overwrite(command: argparse.ArgumentParser) -> None:
    command.add_argument("--overwrite", action="store_true", help="replace a store that exists")


def main(argv: List[str]) -> int:
    """Run a command on feature stores and return its exit status."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return run_command(lambda: args.action(args))
