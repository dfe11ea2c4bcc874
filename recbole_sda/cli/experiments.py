"""Commands on many runs, or on finished ones: compare, ensemble, export, report, recommend."""

import argparse
import logging
from pathlib import Path
from typing import Any, Dict, List

from recbole_sda.cli.arguments import ArgumentParser
from recbole_sda.cli.exit_status import program, run_command
from recbole_sda.cli.recommend import add_recommend, recommender_of, refuse_keys, users_of
from recbole_sda.cli.run import split_arguments
from recbole_sda.cli.user_models import allow_user_models
from recbole_sda.errors import InputError, one_line
from recbole_sda.io.logs import start_logging
from recbole_sda.io.yaml import parse_value
from recbole_sda.validation import AT_LEAST_ONE, NOT_NEGATIVE

logger = logging.getLogger(__name__)


def keys_of(words: List[str]) -> Dict[str, Any]:
    """Read the rest of a command line, ``--key=value``, as YAML values."""
    return {key: parse_value(key, value) for key, value in split_arguments(words).items()}


def _compare(args: argparse.Namespace, keys: Dict[str, Any]) -> None:
    from recbole_sda.comparison.compare import FailedRuns, checked_plan, compare
    from recbole_sda.comparison.tables import to_markdown

    AT_LEAST_ONE.check("parallel", args.parallel, whole=True)
    NOT_NEGATIVE.check("gpus", args.gpus)
    if args.list:
        for job in checked_plan(args.plan, args.out, keys, features_needed=False).jobs():
            print(f"{'done' if job.is_done else 'to do':6} {job}  ({job.folder})")
        return
    try:
        comparison = compare(args.plan, args.out, keys, args.parallel, args.gpus, args.address, run=not args.table)
    except FailedRuns as error:
        if error.comparison["rows"]:
            print(to_markdown(error.comparison))
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command continues the comparison") from None
    print(to_markdown(comparison))


def _ensemble(args: argparse.Namespace, keys: Dict[str, Any]) -> None:
    from recbole_sda.engine.ensemble import ensemble

    ensemble(args.members, args.out, keys)


def _export(args: argparse.Namespace, keys: Dict[str, Any]) -> None:
    refuse_keys("export", keys)
    if args.form == "recbole":
        from recbole_sda.engine.recbole_checkpoint import export_checkpoint

        for option in ("users", "data_path"):
            if getattr(args, option):
                raise InputError(f"export --{option}: --form=recbole reads the weights alone; leave out one of the two")
        print(export_checkpoint(args.run, args.out))
        return
    from recbole_sda.recommend.item_index import ItemIndex, check_index_folder
    from recbole_sda.recommend.onnx_export import onnx_packages, write_onnx

    check_index_folder(Path(args.out))
    if args.form == "onnx":
        onnx_packages()
    index = ItemIndex(recommender_of(args))
    users = index.user_ids if args.users == "all" else users_of(args.users)
    if args.form == "onnx":
        write_onnx(index, args.out, users)
    else:
        index.write(args.out, users)
    logger.info("%s: %d items, %d columns, %d query vectors", args.out, *index.items.shape, len(users or ()))


def _report(args: argparse.Namespace, keys: Dict[str, Any]) -> None:
    refuse_keys("report", keys)
    try:
        from recbole_sda.report.report import write_report
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise InputError("reports need matplotlib: pip install -e '.[report]'") from None
    except ValueError as error:  # a variable of the environment, such as MPLBACKEND
        raise InputError(f"matplotlib cannot be used ({one_line(error)})") from None

    print(write_report(args.folders, args.out, args.title))


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(prog=program(), description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_compare(commands)
    _add_ensemble(commands)
    _add_export(commands)
    _add_report(commands)
    add_recommend(commands)
    return parser


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser(
        "compare",
        help="models x data sets x seeds from one YAML file, with tests",
        description="Runs every model of the file on every data set with every seed, and compares them. Finished runs are not "
        "repeated: the same command continues after Ctrl-C. Each finished run is evaluated again under the further protocols of "
        "the file (its key also). Further --key=value are configuration keys of all runs; --datasets, --seeds, --metrics and "
        "--also replace those of the file, and --models=[...] names the rows to run; the table has all finished rows.",
    )
    compare.add_argument("plan", help="a YAML file, or the name of one in properties/experiments/")
    compare.add_argument("--out", help="folder of runs and tables (default: runs/compare/<name>)")
    compare.add_argument("--parallel", type=int, default=1, metavar="N", help="runs at once (default: 1)")
    compare.add_argument(
        "--gpus", type=float, default=0.0, metavar="SHARE", help="of a GPU per run, as 0.5 (default: 0)"
    )
    compare.add_argument(
        "--address", help="of a Ray cluster, `auto` for this machine's; its machines share the folders"
    )
    compare.add_argument(
        "--list", action="store_true", help="list runs and evaluations, and which are done; run nothing"
    )
    compare.add_argument("--table", action="store_true", help="make the table of the finished runs; run nothing")
    compare.set_defaults(action=_compare)


def _add_ensemble(commands: Any) -> None:
    ensemble = commands.add_parser(
        "ensemble",
        help="a weighted sum of finished runs and neighbourhoods, as a run of its own",
        description="Adds the standardised scores of finished runs of one data set and split, and of neighbourhoods that need no "
        "training. Validation data choose the weights. The result is a run folder like any other. Further --key=value are "
        "configuration keys; the keys of the data and of the evaluation are those of the first run. properties/model/Ensemble.yaml "
        "has the keys of the ensemble.",
    )
    ensemble.add_argument(
        "members",
        nargs="+",
        metavar="MEMBER",
        help="a run folder; knn:cooccurrence: items bought together with recent ones; knn:features: items whose features resemble "
        "theirs, knn:features:image for one modality",
    )
    ensemble.add_argument("--out", required=True, help="folder of the new run")
    ensemble.set_defaults(action=_ensemble)


def _add_export(commands: Any) -> None:
    export = commands.add_parser(
        "export",
        help="a run for other software: a matrix of items with query vectors, an encoder as ONNX, or a checkpoint of RecBole",
        description="--form=index writes items.npy and item_ids.txt; inner products with a query vector are the scores of the "
        "run. The members of an ensemble become one matrix with their weights. A model whose scores are no inner products is "
        "refused. The class ItemIndex of recbole_sda.recommend.item_index computes query vectors of users and of new histories. "
        "--form=onnx also writes encoder.onnx, which computes query vectors of sequences of items. "
        "--form=recbole writes a checkpoint that RecBole's load_data_and_model reads after `import recbole_sda`.",
    )
    export.add_argument("run", help="run folder, of an ensemble too with --form=index")
    export.add_argument(
        "--form", choices=("index", "onnx", "recbole"), default="index", help="what is written (default: index)"
    )
    export.add_argument("--out", required=True, help="folder of the index, or file of the checkpoint, as model.pth")
    export.add_argument(
        "--users",
        help="also write query vectors, as queries.npy and user_ids.txt: all, ids separated by commas, or a file with one id per "
        "line",
    )
    export.add_argument("--data_path", metavar="FOLDER", help="folder of the data sets (default: that of the run)")
    export.set_defaults(action=_export)


def _add_report(commands: Any) -> None:
    report = commands.add_parser(
        "report",
        help="one page, Markdown and LaTeX tables, and figures from run folders",
        description="Reads folders of comparisons, of runs, of adaptations (lvlm adapt) and of gradient measurements (lvlm "
        "gradients), in any number and order.",
    )
    report.add_argument("folders", nargs="+", metavar="FOLDER", help="folders to report on")
    report.add_argument("--out", default="report", help="folder of index.html and the other files (default: report)")
    report.add_argument("--title", help="title of the page")
    report.set_defaults(action=_report)


def main(argv: List[str]) -> int:
    """Run a command and return its exit status."""
    args, rest = _parser().parse_known_args(argv)

    def action() -> None:
        start_logging("info")
        logging.getLogger("recbole_sda.config.run_config").setLevel(logging.ERROR)
        keys = keys_of(rest)
        allow_user_models(keys)
        args.action(args, keys)

    return run_command(action)
