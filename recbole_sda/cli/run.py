"""The main command: arguments to a run, with RecBole's flags and YAML values."""

import textwrap
from typing import Any, Collection, Dict, Iterable, List, NamedTuple, Optional, Tuple

from recbole_sda.cli.arguments import check_value
from recbole_sda.cli.exit_status import run_command
from recbole_sda.cli.user_models import allow_user_models
from recbole_sda.errors import InputError

USAGE = """\
usage: python run_recbole_sda.py --model=MODEL --dataset=DATASET [--config_files="a.yaml b.yaml"] [--key=value ...]
       python run_recbole_sda.py --resume=RUN_FOLDER [--key=value ...]
       python run_recbole_sda.py --load=RUN_FOLDER [--key=value ...]
       python run_recbole_sda.py --tune=SPACE --model=MODEL --dataset=DATASET [--samples=N ...] [--key=value ...]

  --model=MODEL           a *_SDA model or one of RecBole's own (below)
  --dataset=DATASET       a folder of data_path (dataset/) with RecBole atomic files
  --config_files=FILES    YAML files, separated by spaces; later ones win, --key=value wins over all
  --resume=RUN_FOLDER     go on with an interrupted run; --epochs=N may train it longer
  --load=RUN_FOLDER       evaluate a run's best epoch again, perhaps with another --eval_args
  --tune=SPACE            search for settings on validation data, perhaps in stages: a file (YAML, or RecBole's .test) or a name of
                          properties/search/; with --samples=N (or grid) --grace_epochs=N --reduction=N --search_seed=N
                          --search_alg=optuna (or random) for those of the space and its stages,
                          --parallel=N --gpus=SHARE --address=CLUSTER --out=FOLDER
  --user_models=CLASSES   classes of your own modules that files or run folders may name, as shop.models:Mine
  --key=value             any key of RecBole, of the model, or below; values are YAML: --topk=[5,10] --learning_rate=1e-3
  --help                  this text; with --model=MODEL also that model's keys
"""
COMMANDS = ("resume", "load")
# Options of --tune: of the search space, with its own name for each, and of the search.
SPACE_KEYS = {
    "samples": "samples",
    "grace_epochs": "grace_epochs",
    "reduction": "reduction",
    "search_seed": "seed",
    "search_alg": "search_alg",
}
SEARCH_KEYS = ("parallel", "gpus", "address", "out")


class Arguments(NamedTuple):
    """What the command line says."""

    model: Optional[str]
    dataset: Optional[str]
    config_files: List[str]
    resume: Optional[str]
    load: Optional[str]
    tune: Optional[str]
    help: bool
    keys: Dict[str, Any]


def split_arguments(argv: List[str], empty_texts: Collection[str] = ()) -> Dict[str, str]:
    """Return ``--key=value`` and ``--key value`` as a dict of strings; anything else is an InputError.

    Args:
        argv: the words.
        empty_texts: keys with texts that can be empty.
    """
    given: Dict[str, str] = {}
    position = 0
    while position < len(argv):
        word = argv[position]
        position += 1
        if word in ("-h", "--help"):
            given["help"] = "true"
            continue
        if not word.startswith("--") or len(word) == 2:
            raise InputError(f"argument {word!r}: expected --key=value")
        key, equals, value = word[2:].partition("=")
        if not equals:
            if position == len(argv) or argv[position].startswith("--"):
                raise InputError(f"--{key} has no value: expected --{key}=value")
            value, position = argv[position], position + 1
        if key in given and given[key] != value:
            raise InputError(f"--{key} is given twice: {given[key]!r} and {value!r}")
        given[key] = check_value(key, value, empty_texts)
        while key == "config_files" and position < len(argv) and not argv[position].startswith("--"):
            given[key] += f" {argv[position]}"
            position += 1
    return given


def parse(argv: List[str]) -> Arguments:
    """Read the command line; values are YAML."""
    from recbole_sda.io.yaml import parse_value

    given = split_arguments(argv)
    fixed = {name: given.pop(name, None) for name in ("model", "dataset", "resume", "load", "tune")}
    files = given.pop("config_files", "").split()
    wants_help = given.pop("help", None) is not None
    keys = {key: parse_value(key, value) for key, value in given.items()}
    return Arguments(config_files=files, help=wants_help, keys=keys, **fixed)


def help_text(model: Optional[str] = None) -> str:
    """Return the whole help: usage, keys with defaults and meaning, models, data sets."""
    from recbole_sda.config.dataset_files import supported_datasets
    from recbole_sda.config.defaults import OWN_FILES
    from recbole_sda.config.known_keys import model_defaults_text
    from recbole_sda.io.yaml import properties_dir
    from recbole_sda.model.model_table import (
        BASE_MODELS,
        CONTEXT_AWARE,
        ENSEMBLES,
        KNOWLEDGE_AWARE,
        MULTIMODAL,
        NEEDED_PACKAGES,
        NEIGHBOURS,
        WITHOUT_SDA,
    )
    from recbole_sda.model.registry import base_name, check_model_name, sda_models

    def listing(names: Iterable[str]) -> str:
        return textwrap.fill(", ".join(names), 118, initial_indent="  ", subsequent_indent="  ")

    parts = [USAGE]
    for name in OWN_FILES:
        text = (properties_dir() / name).read_text(encoding="utf-8")
        parts.append(f"keys of properties/{name}, with defaults:\n{textwrap.indent(text, '  ')}")
    if model:
        check_model_name(model)
        base = base_name(model)
        parts.append(f"keys of {base}, with their defaults:\n{textwrap.indent(model_defaults_text(base), '  ')}\n")
    parts.append("SDA models:\n" + listing(sda_models()) + "\n")
    reasons = "\n".join(f"  {name}: {reason}" for name, reason in WITHOUT_SDA.items())
    parts.append(
        "RecBole models without an SDA version (they run as they are, where their own needs are met):\n" + reasons
    )
    parts.append("\nRecBole's context-aware models:\n" + listing(CONTEXT_AWARE))
    parts.append("\nRecBole's knowledge-aware models:\n" + listing(KNOWLEDGE_AWARE))
    parts.append(
        "\nModels that need a further package:\n"
        + listing(f"{name}: {package}" for name, package in NEEDED_PACKAGES.items())
    )
    parts.append("\nMultimodal models, which run with the suffix and without:\n" + listing(MULTIMODAL))
    parts.append("\nNeighbourhood models, which are not trained:\n" + listing(NEIGHBOURS))
    parts.append("\nEnsembles of finished runs (python -m recbole_sda ensemble --help):\n" + listing(ENSEMBLES))
    parts.append("\nRecBole's own models of the first list run without the suffix:\n" + listing(BASE_MODELS) + "\n")
    parts.append(
        "data sets with a file in properties/dataset and a built-in miniature:\n" + listing(supported_datasets())
    )
    return "\n".join(parts)


def _model_and_dataset(given: Arguments) -> Tuple[str, str]:
    """Return both names, from the arguments or from the configuration files."""
    from recbole_sda.io.yaml import read_yaml
    from recbole_sda.model.named_models import check_named

    names = {"model": given.model, "dataset": given.dataset}
    for path in given.config_files:
        values = read_yaml(path)
        for key in names:
            names[key] = getattr(given, key) or values.get(key) or names[key]
        check_named(names["model"], path)
    for key, value in names.items():
        if not value:
            raise InputError(
                f"--{key} is missing: give --{key}=NAME, or `{key}: NAME` in a configuration file; see --help"
            )
    return str(names["model"]), str(names["dataset"])


def _start(given: Arguments) -> None:
    from recbole_sda.config.known_keys import check_given
    from recbole_sda.io.logs import start_logging

    start_logging(given.keys.get("state"))
    allow_user_models(given.keys, given.model)
    if not (given.resume or given.load or given.tune):  # at once, before torch and RecBole are imported
        check_given(*_model_and_dataset(given), given.config_files, given.keys)
    from recbole_sda.engine import experiment

    for name in COMMANDS:
        folder = getattr(given, name)
        if folder:
            if given.model or given.dataset or given.config_files or given.tune:
                raise InputError(f"--{name} takes model, data set and files from the run folder; leave them out")
            action = experiment.resume if name == "resume" else experiment.evaluate
            action(folder, given.keys)
            return
    model, dataset = _model_and_dataset(given)
    if given.tune:
        _tune(given, model, dataset)
        return
    experiment.run(model, dataset, given.config_files, given.keys)


def _tune(given: Arguments, model: str, dataset: str) -> None:
    from recbole_sda.model.registry import class_name
    from recbole_sda.tune.search import tune_settings
    from recbole_sda.tune.space_file import find_space, read_space

    keys = dict(given.keys)
    changes = {own: keys.pop(name) for name, own in SPACE_KEYS.items() if name in keys}
    options = {name: keys.pop(name) for name in SEARCH_KEYS if name in keys}
    path = find_space(str(given.tune))
    space = read_space(path).changed(changes, "command line")
    options.setdefault("out", f"runs/tune/{class_name(model)}-{dataset}-{path.stem}")
    try:
        tune_settings(model, dataset, space, given.config_files, keys, **options)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on with the search") from None


def main(argv: List[str]) -> int:
    """Run the main command and return its exit status."""

    def action() -> None:
        given = parse(argv)
        if given.help:
            print(help_text(given.model))
        elif not argv:
            raise InputError("--model and --dataset are missing; see --help")
        else:
            _start(given)

    return run_command(action)
