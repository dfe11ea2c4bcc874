"""``python -m recbole_sda`` and the installed command ``recbole-sda``: one command line for everything but data preparation."""

import argparse
import sys
from importlib import import_module
from typing import List, Optional

from recbole_sda import __version__
from recbole_sda.cli.arguments import ArgumentParser
from recbole_sda.cli.exit_status import interrupted, program

# Command -> the module whose main() runs it, and one line of help.
COMMANDS = {
    "run": ("run", "train and evaluate a model: the arguments of run_recbole_sda.py"),
    "features": ("features", "import, extract and inspect feature stores; semantic ids of their items"),
    "lvlm": ("lvlm", "adapt a vision-language model to a catalogue, extract features, export adapters"),
    "compare": ("experiments", "models x data sets x seeds from one YAML file: a table with gains and paired tests"),
    "ensemble": ("experiments", "a weighted sum of finished runs and neighbourhoods, as a run of its own"),
    "export": (
        "experiments",
        "a run for other software: a matrix of items with query vectors, an encoder as ONNX, or a checkpoint of RecBole",
    ),
    "report": ("experiments", "one page, tables and figures from folders of comparisons, runs and adaptations"),
    "hub": ("hub", "push and pull feature stores, adapters and runs on the Hugging Face Hub"),
    "recommend": ("experiments", "the best items of each user, from a run; also items that are new since training"),
    "serve": ("serve", "the best items of users and sessions over HTTP, from a run"),
}


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(prog=program(), description=__doc__)
    parser.add_argument("--version", action="version", version=f"recbole_sda {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        commands.add_parser(name, add_help=False, help=text)
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    """Run a command and return its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] not in COMMANDS:
        _parser().parse_args(
            argv
        )  # help, the version, or an error that lists the commands; each of them ends the process
    name = argv[0]
    try:
        module = import_module(f"recbole_sda.cli.{COMMANDS[name][0]}")
        status: int = module.main(argv if COMMANDS[name][0] == "experiments" else argv[1:])
    except KeyboardInterrupt as interruption:  # while modules are imported
        return interrupted(interruption)
    return status
