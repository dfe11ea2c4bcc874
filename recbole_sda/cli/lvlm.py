"""Commands of the LVLM stage: ``python -m recbole_sda lvlm tiny|families|plan|adapt|extract|export|gradients|demo``."""

import logging
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from recbole_sda.cli.exit_status import run_command
from recbole_sda.cli.run import split_arguments
from recbole_sda.errors import InputError, nearest
from recbole_sda.io.yaml import parse_value, properties_dir
from recbole_sda.validation import check_bool

USAGE = """\
usage: python -m recbole_sda lvlm tiny      --family=FAMILY --out=FOLDER [--seed=N]
       python -m recbole_sda lvlm families
       python -m recbole_sda lvlm plan      --backbone=MODEL (--items=items.jsonl | --n_items=N) [--tflops=N | --measure=True]
       python -m recbole_sda lvlm adapt     --backbone=MODEL --items=items.jsonl --out=FOLDER [--preset=paper] [--key=value ...]
       python -m recbole_sda lvlm adapt     --resume=FOLDER
       python -m recbole_sda lvlm extract   --backbone=MODEL --items=items.jsonl --out=STORE [--adapter=FOLDER] [--key=value ...]
       python -m recbole_sda lvlm export    --adapter=FOLDER --out=FOLDER
       python -m recbole_sda lvlm gradients --backbone=MODEL --items=items.jsonl --out=FOLDER [--points=5] [--key=value ...]
       python -m recbole_sda lvlm demo      [--data_path=dataset] [--dataset=Amazon_Sports] [--family=qwen2_5_vl]

  tiny       write a tiny random model of a family, for trials without weights
  families   print the families of models, and what the tests of each prove
  plan       memory, tokens, operations and hours of adapt and extract; needs no weights, config.json alone is enough
  adapt      train an adapter on the images and texts of items
  extract    write a feature store, <data_path>/<dataset>/features/<name>; an interrupted extraction continues
  export     write an adapter as two standard LoRA adapters, image/ and text/
  gradients  measure how far image and text gradients agree for LoRA, two LoRAs and MoDA
  demo       run adapt, extract and export on invented products and a tiny random model

  --out=PATH              what is written; --overwrite=True replaces what exists
  --config_files=FILES    YAML files, separated by spaces; later ones win, --key=value wins over all
  --preset=paper          the paper's settings
  --backend=NAME          extract by sentence_transformers, or by openai: --url=http://localhost:8000/v1 --key_variable=NAME
  --actors=N              extract with N Ray actors; --address=auto for a cluster, --gpus_per_actor=1
  --text_tokens=128       plan: tokens of a text, with --n_items
  --tflops=N              plan: peak of the device; --utilisation=0.4 of it is assumed. --measure=True measures this machine instead
  --key=value             any key below; with extract --adapter=FOLDER, the keys of that adaptation are the defaults

Several processes: torchrun --nproc-per-node=4 -m recbole_sda lvlm adapt ...
"""


# Not parsed as YAML, where {title} would be a mapping.
TEXTS = (
    "text_prompt", "image_prompt", "instruction", "backbone", "items", "adapter", "interactions", "out", "resume", "url",
    "key_variable", "dataset", "data_path", "family", "address",
)  # fmt: skip
EMPTY_TEXTS = ("text_prompt", "image_prompt", "instruction")


class Action(NamedTuple):
    """An action of the command.

    Attributes:
        run: called with the action's own options, the configuration files and the keys of the stage.
        options: options that are not keys of the stage, with their defaults.
        required: options that must be given.
    """

    run: Callable[[Dict[str, Any], List[str], Dict[str, Any]], None]
    options: Dict[str, Any]
    required: Tuple[str, ...] = ()


def _tiny(options: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.lvlm.settings import read_settings
    from recbole_sda.lvlm.tiny import make_tiny

    seed = read_settings(files, keys).seed
    print(f"{make_tiny(str(options['family']), options['out'], seed)}: a random model, only for trials")


def _families(options: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.lvlm.tiny_models.listing import family_lines

    if files or keys:
        raise InputError("families takes no options")
    print("\n".join(family_lines()))


def _adapt(options: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.lvlm.adaptation import resume_adaptation
    from recbole_sda.lvlm.api import adapt

    if options["resume"]:
        if files or options["out"]:
            raise InputError("--resume takes all settings from its folder; leave out --out and --config_files")
        best = resume_adaptation(options["resume"], keys)
    elif not options["out"]:
        raise InputError("--out=FOLDER is missing (or --resume=FOLDER)")
    else:
        best = adapt(out=options["out"], overwrite=options["overwrite"], config_files=files, **keys)
    metrics = ", ".join(f"{name} {best[name]:.4f}" for name in ("recall@1", "recall@10"))
    _print(f"{options['resume'] or options['out']}: best adapter of step {best['step']}, held-out {metrics}")


def _extract(options: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.lvlm.api import extract

    path = extract(**options, config_files=files, **keys)
    _print(f"{path}: look at it with `python -m recbole_sda features inspect {path}`")


def _export(options: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.lvlm.export import export_lora

    unknown = set(keys) - {"adapter"}
    if unknown:
        raise InputError(f"export takes --adapter and --out, not --{', --'.join(sorted(unknown))}")
    if not keys.get("adapter"):
        raise InputError("--adapter=FOLDER is missing")
    print(f"{export_lora(keys['adapter'], options['out'], options['overwrite'])}: image/, text/ and README.md")


def _gradients(options: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.lvlm.gradients import measure, write
    from recbole_sda.lvlm.settings import read_settings
    from recbole_sda.validation import AT_LEAST_ONE

    points = AT_LEAST_ONE.check("points", options["points"], whole=True)
    path = write(measure(read_settings(files, keys), points), options["out"])
    print(f"{path}: cosine of image and text gradients in each adapted layer")
    try:
        from recbole_sda.report.gradients import draw
    except ImportError:
        print("no figure: it needs matplotlib, pip install 'recbole-sda[report]'")
        return
    print(f"{draw(path, path.with_suffix('.png'))}: their figure")


def _plan(options: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.cli import lvlm_plan

    lvlm_plan.run(options, files, keys)


def _demo(options: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.cli import lvlm_demo

    lvlm_demo.run(options["dataset"], options["data_path"], options["family"], options["out"], files, keys)


ACTIONS = {
    "tiny": Action(_tiny, {"family": None, "out": None}, ("family", "out")),
    "families": Action(_families, {}),
    "plan": Action(
        _plan,
        {"n_items": None, "text_tokens": 128, "tflops": None, "utilisation": 0.4, "measure": False, "out": None},
    ),
    "adapt": Action(_adapt, {"out": None, "overwrite": False, "resume": None}),
    "extract": Action(
        _extract,
        {"out": None, "overwrite": False, "actors": None, "gpus_per_actor": None, "address": None},
        ("out",),
    ),
    "export": Action(_export, {"out": None, "overwrite": False}, ("out",)),
    "gradients": Action(_gradients, {"out": None, "points": 5}, ("out",)),
    "demo": Action(
        _demo, {"dataset": "Amazon_Sports", "data_path": "dataset", "family": "qwen2_5_vl", "out": "runs/lvlm-demo"}
    ),
}


def _print(text: str) -> None:
    """Print in the first process only."""
    from recbole_sda.machine import torchrun

    if torchrun.is_main():
        print(text)


def main(argv: List[str]) -> int:
    """Run a command of the stage and return its exit status.

    Args:
        argv: the action, such as ``adapt``, and its options as ``--key=value``.
    """

    def action() -> None:
        name, given = argv[0] if argv else "--help", split_arguments(argv[1:], EMPTY_TEXTS)
        if name in ("-h", "--help") or "help" in given:
            yaml_keys = (properties_dir() / "lvlm.yaml").read_text(encoding="utf-8")
            print(USAGE + "\nkeys of properties/lvlm.yaml, with defaults:\n" + yaml_keys)
            return
        if name not in ACTIONS:
            raise InputError(f"lvlm {name}: allowed are {', '.join(ACTIONS)}.{nearest(name, ACTIONS)}")
        chosen = ACTIONS[name]
        files = given.pop("config_files", "").split()
        keys = {key: value if key in TEXTS else parse_value(key, value) for key, value in given.items()}
        options = {key: keys.pop(key, default) for key, default in chosen.options.items()}
        if "overwrite" in options:
            check_bool("overwrite", options["overwrite"])
        for key in chosen.required:
            if options[key] is None:
                raise InputError(f"lvlm {name}: --{key} is missing; see `lvlm --help`")
        chosen.run(options, files, keys)

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for library in ("transformers", "peft", "httpx", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)
    return run_command(action)
