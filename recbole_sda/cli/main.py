"""Commands beside the main one: feature stores (import, extract, inspect) and the run of a model."""

import argparse
import logging
import sys
from typing import Dict, List, Optional

from texttable import Texttable

from recbole_sda.cli.run import main as run_main
from recbole_sda.cli.run import run_command
from recbole_sda.errors import InputError

logger = logging.getLogger(__name__)

# Commands over many runs, see recbole_sda.cli.experiments.
EXPERIMENTS = {
    "recommend": "the best items of each user, from a run; also items that came after training",
    "report": "one page, tables and pictures from folders of comparisons, runs and adaptations",
    "compare": "models x data sets x seeds from one YAML file: a table with gains and paired tests",
}


def _pairs(values: Optional[List[str]], option: str) -> Dict[str, str]:
    """Read ``name=value`` words; a word without `=` is an InputError."""
    pairs = {}
    for word in values or []:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise InputError(f"{option} {word!r}: expected MODALITY=VALUE, as in image=image_emb.npy")
        pairs[name] = value
    return pairs


def _import(args: argparse.Namespace) -> None:
    from recbole_sda.features import importers as sources
    from recbole_sda.features.store import write_store

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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recbole-sda", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run", add_help=False, help="train and evaluate a model: the arguments of run_recbole_sda.py"
    )
    run.set_defaults(action=None)
    lvlm = commands.add_parser("lvlm", add_help=False, help="adapt a vision-language model, extract, export")
    lvlm.set_defaults(action=None)
    for name, text in EXPERIMENTS.items():
        commands.add_parser(name, add_help=False, help=text)
    features = commands.add_parser("features", help="make and look at feature stores")
    actions = features.add_subparsers(dest="what", required=True, metavar="ACTION")

    load = actions.add_parser("import", help="vectors made elsewhere: npy with ids, parquet, or RecBole's .itememb")
    load.add_argument("--out", required=True, help="the store to write: <data_path>/<dataset>/features/<name>")
    source = load.add_mutually_exclusive_group(required=True)
    source.add_argument("--npy", nargs="+", metavar="MODALITY=FILE", help="matrices (n_items, dim), as image=image.npy")
    source.add_argument("--parquet", metavar="FILE", help="an id column and one list column per modality")
    source.add_argument("--itememb", metavar="FILE", help="RecBole atomic file <id>:token <vector>:float_seq")
    load.add_argument("--ids", metavar="FILE", help="with --npy: one item id per line, in row order")
    load.add_argument("--present", nargs="+", metavar="MODALITY=FILE", help="with --npy: bool vectors (n_items,)")
    load.add_argument("--columns", nargs="+", metavar="MODALITY=COLUMN", help="with --parquet")
    load.add_argument("--id-column", default="item_id", help="with --parquet (default: item_id)")
    load.add_argument("--modality", default="text", help="with --itememb: what the vectors are of (default: text)")
    load.add_argument("--encoder", help="recorded: the model that made the vectors")
    load.add_argument("--revision", help="recorded: its revision")
    load.add_argument("--pooling", help="recorded: how states became one vector")
    load.add_argument("--prompt", help="recorded: the prompt")
    load.set_defaults(action=_import)

    extract = actions.add_parser("extract", help="light features (no weights needed) from texts and pictures")
    extract.add_argument("--items", required=True, help="items.jsonl: item_id, image (a path or null), text fields")
    extract.add_argument("--out", required=True, help="the store to write")
    extract.add_argument("--dim", type=int, default=64, help="largest width of each modality (default: 64)")
    extract.add_argument("--text-fields", nargs="+", metavar="FIELD", help="fields of the text (default: all)")
    extract.set_defaults(action=_extract)
    for command in (load, extract):
        command.add_argument("--overwrite", action="store_true", help="replace a store that exists")

    look = actions.add_parser("inspect", help="encoder, widths, coverage, norms, effective rank, duplicate rows")
    look.add_argument("store", help="directory of a feature store")
    look.set_defaults(action=_inspect)
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    """Run a command and return its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["run"]:
        return run_main(argv[1:])
    if argv[:1] == ["lvlm"]:
        from recbole_sda.cli.lvlm import main as lvlm_main

        return lvlm_main(argv[1:])
    if argv and argv[0] in EXPERIMENTS:
        from recbole_sda.cli.experiments import main as experiments_main

        return experiments_main(argv)
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return run_command(lambda: args.action(args))
