"""The commands of the LVLM stage: ``python -m recbole_sda lvlm tiny|adapt|extract|export|gradients|demo``."""

import logging
import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from recbole_sda.cli.run import run_command, split_arguments
from recbole_sda.errors import InputError, nearest
from recbole_sda.io.yaml import parse_value, properties_dir, read_yaml

USAGE = """\
usage: python -m recbole_sda lvlm tiny      --family=FAMILY --out=FOLDER [--seed=N]
       python -m recbole_sda lvlm adapt     --backbone=MODEL --items=items.jsonl --out=FOLDER [--preset=paper] [--key=value ...]
       python -m recbole_sda lvlm adapt     --resume=FOLDER
       python -m recbole_sda lvlm extract   --backbone=MODEL --items=items.jsonl --out=STORE [--adapter=FOLDER] [--key=value ...]
       python -m recbole_sda lvlm export    --adapter=FOLDER --out=FOLDER
       python -m recbole_sda lvlm gradients --backbone=MODEL --items=items.jsonl --out=FOLDER [--points=5] [--key=value ...]
       python -m recbole_sda lvlm demo      [--data_path=dataset] [--dataset=Amazon_Sports] [--family=qwen2_5_vl]

  tiny       write a tiny random model of a family, to try everything without weights
  adapt      train an adapter on the pictures and texts of a catalogue
  extract    write a feature store, <data_path>/<dataset>/features/<name>; an interrupted one goes on
  export     write an adapter as two stock LoRA adapters, image/ and text/
  gradients  measure how image and text gradients agree for LoRA, two LoRAs and MoDA
  demo       a miniature catalogue and a tiny random model through adapt, extract and export

  --out=PATH              what is written; --overwrite=True replaces what is there
  --config_files=FILES    YAML files, separated by spaces; later ones win, --key=value wins over all
  --preset=paper          the paper's settings
  --actors=N              extract: by N Ray actors; --ray_address=auto for a cluster, --gpus_per_actor=1
  --key=value             any key below. extract and --adapter=FOLDER of adapt: the keys of that adaptation hold

Several processes: torchrun --nproc-per-node=4 -m recbole_sda lvlm adapt ...
"""


# Taken as they are: to YAML, {title} would be a mapping.
TEXTS = ("text_prompt", "image_prompt", "backbone", "items", "adapter", "interactions", "out", "resume")


class Action(NamedTuple):
    """An action of the command.

    Attributes:
        run: takes what is given and the keys.
        own: options with defaults that are not keys of the stage; None: needed.
    """

    run: Callable[[Dict[str, Any], List[str], Dict[str, Any]], None]
    own: Dict[str, Any]
    needed: tuple = ()


def _settings(files: List[str], keys: Dict[str, Any], base: Optional[Dict[str, Any]] = None):
    from recbole_sda.lvlm.settings import read_settings

    return read_settings(files, keys, base)


def _tiny(own: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.lvlm.tiny import make_tiny

    seed = _settings(files, keys).seed
    print(f"{make_tiny(str(own['family']), own['out'], seed)}: a random model, for trials alone")


def _adapt(own: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.lvlm import adaptation as adapt

    if own["resume"]:
        if files or own["out"]:
            raise InputError("--resume takes everything from its folder; leave --out and --config_files out")
        best = adapt.resume(own["resume"], keys)
    elif not own["out"]:
        raise InputError("--out=FOLDER is missing (or --resume=FOLDER)")
    else:
        best = adapt.adapt(_settings(files, keys), own["out"], own["overwrite"])
    figures = ", ".join(f"{name} {best[name]:.4f}" for name in ("recall@1", "recall@10"))
    _say(f"{own['resume'] or own['out']}: best adapter of step {best['step']}, held-out {figures}")


def _extract(own: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.lvlm.extraction import extract

    settings = _settings(files, keys, _adapted_with(files, keys))
    encode_shards = None
    if own["actors"]:
        from recbole_sda.lvlm.ray_extract import ray_shard_encoder

        encode_shards = ray_shard_encoder(settings, own["actors"], own["gpus_per_actor"], own["ray_address"])
    path = extract(settings, own["out"], own["overwrite"], encode_shards)
    _say(f"{path}: look at it with `python -m recbole_sda features inspect {path}`")


def _adapted_with(files: List[str], keys: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """Return the settings of the adaptation that the adapter came from, where they are recorded."""
    given: Dict[str, Any] = {}
    for layer in (*map(read_yaml, files), keys):
        given.update(layer)
    if not given.get("adapter"):
        return None
    from recbole_sda.lvlm.adapters import fingerprint, folder_of, record_of

    folder = folder_of(given["adapter"])
    method, found = given.get("method"), fingerprint(folder)["method"]
    if method not in (None, "none", found):
        raise InputError(f"method={method}: {folder} is of {found}; leave method out, or none for the bare model")
    return record_of(folder).get("settings")


def _export(own: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.lvlm.export import export_lora

    unknown = set(keys) - {"adapter"}
    if unknown:
        raise InputError(f"export takes --adapter and --out, not --{', --'.join(sorted(unknown))}")
    if not keys.get("adapter"):
        raise InputError("--adapter=FOLDER is missing")
    print(f"{export_lora(keys['adapter'], own['out'], own['overwrite'])}: image/, text/ and README.md")


def _gradients(own: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.lvlm.gradients import measure, write
    from recbole_sda.validation import AT_LEAST_ONE

    points = AT_LEAST_ONE.check("points", own["points"], whole=True)
    path = write(measure(_settings(files, keys), points), own["out"])
    print(path)
    try:
        from recbole_sda.report.gradients import draw
    except ImportError:
        print("no picture: it needs matplotlib, pip install 'recbole-sda[report]'")
        return
    print(draw(path, path.with_suffix(".png")))


def _demo(own: Dict[str, Any], files: List[str], keys: Dict[str, Any]) -> None:
    from recbole_sda.cli import lvlm_demo

    lvlm_demo.run(own["dataset"], own["data_path"], own["family"], own["out"], files, keys)


ACTIONS = {
    "tiny": Action(_tiny, {"family": None, "out": None}, ("family", "out")),
    "adapt": Action(_adapt, {"out": None, "overwrite": False, "resume": None}),
    "extract": Action(
        _extract,
        {"out": None, "overwrite": False, "actors": None, "gpus_per_actor": None, "ray_address": None},
        ("out",),
    ),
    "export": Action(_export, {"out": None, "overwrite": False}, ("out",)),
    "gradients": Action(_gradients, {"out": None, "points": 5}, ("out",)),
    "demo": Action(
        _demo, {"dataset": "Amazon_Sports", "data_path": "dataset", "family": "qwen2_5_vl", "out": "runs/lvlm-demo"}
    ),
}


def _say(text: str) -> None:
    """Print in the first process alone."""
    if int(os.environ.get("RANK", 0)) == 0:
        print(text)


def main(argv: List[str]) -> int:
    """Run a command of the stage and return its exit status."""

    def action() -> None:
        name, given = argv[0] if argv else "--help", split_arguments(argv[1:])
        if name in ("-h", "--help") or "help" in given:
            keys = (properties_dir() / "lvlm.yaml").read_text(encoding="utf-8")
            print(USAGE + "\nkeys of properties/lvlm.yaml, with defaults:\n" + keys)
            return
        if name not in ACTIONS:
            raise InputError(f"lvlm {name}: there is {', '.join(ACTIONS)}.{nearest(name, ACTIONS)}")
        chosen = ACTIONS[name]
        files = given.pop("config_files", "").split()
        keys = {key: value if key in TEXTS else parse_value(key, value) for key, value in given.items()}
        own = {key: keys.pop(key, default) for key, default in chosen.own.items()}
        for key in chosen.needed:
            if own[key] is None:
                raise InputError(f"lvlm {name}: --{key} is missing; see `lvlm --help`")
        chosen.run(own, files, keys)

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for library in ("transformers", "peft", "httpx", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)
    return run_command(action)
