"""The run folder and what it says: resolved configuration, log, metrics with their protocol, the table at the end."""

import json
import logging
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

import colorlog
import torch
import yaml
from recbole.utils import ModelType
from recbole.utils.logger import RemoveColorFilter
from texttable import Texttable

from recbole_sda import __version__
from recbole_sda.errors import InputError
from recbole_sda.features.store import library_versions
from recbole_sda.io.atomic_write import atomic_write
from recbole_sda.machine import torchrun

CONFIG, METRICS, LOG, LOCK = "config.yaml", "metrics.json", "run.log", ".lock"
UNCHOSEN = "no validation, the last is kept"  # what chose the epoch where nothing did


def make_run_dir(config) -> Path:
    """Create a new run folder; a ``run_dir`` that exists and is not empty is an InputError."""
    if config["run_dir"]:
        path = Path(config["run_dir"])
        if path.exists() and not path.is_dir():
            raise InputError(f"run_dir={path} is a file; expected a folder")
        if path.exists() and any(path.iterdir()):
            raise InputError(f"run_dir={path} exists already; resume it with --resume={path}, or choose another one")
        path.mkdir(parents=True, exist_ok=True)
        return path
    if not config["runs_path"]:
        raise InputError(f"runs_path={config['runs_path']!r}: expected a folder")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = f"{config['model']}-{config['dataset']}-seed{config['seed']}-{stamp}"
    for suffix in ["", *(f"-{k}" for k in range(2, 100))]:
        path = Path(config["runs_path"]) / (name + suffix)
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            continue
    raise InputError(f"{path.parent} holds 99 runs of this second")


def start_logging(level: Optional[str] = None) -> None:
    """Send log messages to the terminal, in colour where it is one; messages of libraries from warnings on."""
    handler = colorlog.StreamHandler(sys.stderr)
    if sys.stderr.isatty():
        handler.setFormatter(colorlog.ColoredFormatter("%(log_color)s%(asctime)s %(message)s", "%H:%M:%S"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        handler.addFilter(RemoveColorFilter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(getattr(logging, str(level or "INFO").upper(), logging.INFO))


@contextmanager
def log_to(run_dir: Path) -> Iterator[None]:
    """Inside, messages also go to the run folder's log file, ours from the level INFO on."""
    handler = logging.FileHandler(run_dir / LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(RemoveColorFilter())
    ours = logging.getLogger("recbole_sda")
    level = ours.level
    ours.setLevel(min(ours.getEffectiveLevel(), logging.INFO))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        ours.setLevel(level)
        handler.close()


def config_text(resolved: Dict[str, Any]) -> str:
    """Return a resolved configuration as YAML, without the folder of the run."""
    values = {k: v for k, v in resolved.items() if k != "run_dir"}
    return yaml.safe_dump(values, sort_keys=True, allow_unicode=True, default_flow_style=None)


def write_config(run_dir: Path, resolved: Dict[str, Any]) -> None:
    """Write the resolved configuration, a file that ``--config_files`` takes."""
    with atomic_write(run_dir / CONFIG) as draft:
        draft.write_text(config_text(resolved), encoding="utf-8")


def describe_split(eval_args: dict) -> str:
    """Say in words how interactions were split."""
    split, per = eval_args["split"], eval_args["group_by"]
    order = {"TO": "in time order", "RO": "in random order"}.get(eval_args["order"], eval_args["order"])
    if "LS" in split:
        how = {"valid_and_test": "leave-one-out for validation and test"}.get(
            split["LS"], f"leave one out ({split['LS']})"
        )
    else:
        how = "ratio " + ":".join(f"{share:g}" for share in split["RS"])
    return f"{how}, per {per}, {order}" if per and per != "none" else f"{how}, {order}"


def describe_mode(mode: str) -> str:
    """Say in words what an item is ranked against."""
    if mode == "full":
        return "full sort"
    kinds = {"uni": "uniform", "pop": "popularity-drawn"}
    return f"{mode[3:]} {kinds[mode[:3]]} negatives" if mode[:3] in kinds else mode


def describe_loss(config) -> str:
    """Say in words what the recommendation loss is."""
    loss = "the model's own" if "loss_type" in config.ignored_keys else config["loss_type"] or "the model's own"
    if config["popularity_adjustment"]:
        loss += f" with popularity adjustment {config['popularity_adjustment']:g}"
    if config["softmax_negatives"] is None:
        return loss
    return f"{loss} against {config['softmax_negatives']} sampled items ({config['softmax_proposal']}), log-Q corrected"


def protocol(config, n_items: int, selection: str) -> Dict[str, Any]:
    """Return what must stand beside every number of a run; ``selection`` says what chose the epoch."""
    mode = config["eval_args"]["mode"]
    evaluation = {phase: describe_mode(mode[phase]) for phase in ("valid", "test")}
    if not (config["mask_validation"] or config["repeatable"] or config["MODEL_TYPE"] == ModelType.SEQUENTIAL):
        evaluation["test"] += " with the validation items"
    if config["benchmark_filename"]:
        split = f"given files ({', '.join(config['benchmark_filename'])})"
    else:
        split = describe_split(config["eval_args"])
    return {
        "loss": describe_loss(config),
        "split": split,
        "evaluation": evaluation,
        "repeatable": config["repeatable"],
        "items": n_items,
        "selection": selection,
        "seed": config["seed"],
    }


def environment(device) -> Dict[str, str]:
    """Return versions and device."""
    versions = library_versions("torch", "numpy", "scipy", "pandas", "recbole")
    name = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "cpu"
    processes = str(torchrun.world_size())
    return {**versions, "device": name, "threads": str(torch.get_num_threads()), "processes": processes}


def write_metrics(run_dir: Path, content: Dict[str, Any], name: str = METRICS) -> None:
    """Write results as JSON; the file appears whole or not at all."""
    text = json.dumps({"recbole_sda": __version__, **content}, indent=2, default=str)
    with atomic_write(run_dir / name) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def with_current_names(result: Dict[str, Any]) -> Dict[str, Any]:
    """Rename the groups of a result that an earlier version wrote: ``fifth 1`` is ``quintile 1`` now."""
    for groups in (result.get("groups") or {}).values():
        for kind in ("items", "users"):
            if kind in groups:
                named = {name.replace("fifth ", "quintile "): metrics for name, metrics in groups[kind].items()}
                groups[kind] = named
    return result


def read_metrics(run_dir: Path) -> Dict[str, Any]:
    """Return what a finished run's ``metrics.json`` says; a damaged file is an InputError."""
    path = run_dir / METRICS
    try:
        return with_current_names(dict(json.loads(path.read_text(encoding="utf-8"))))
    except (TypeError, ValueError) as error:  # no JSON, or no object
        raise InputError(
            f"{path} is damaged ({error}); remove it, and --resume={run_dir}, or the same comparison, writes it again"
        ) from None


def result_table(result: Dict[str, Any]) -> str:
    """Return the table at the end of a run, with the protocol above it."""
    rules = result["protocol"]
    modes = set(rules["evaluation"].values())
    evaluation = modes.pop() if len(modes) == 1 else "; ".join(f"{k}: {v}" for k, v in rules["evaluation"].items())
    table = Texttable(max_width=0)
    table.set_deco(Texttable.HEADER)
    table.set_cols_dtype(["t", "t", "t"])
    table.set_cols_align(["l", "r", "r"])
    table.header(["metric", "validation", "test"])
    for name, value in result["test"].items():
        valid = (result["valid"] or {}).get(name)
        table.add_row([name, "-" if valid is None else f"{valid:.4f}", f"{value:.4f}"])
    chosen = f"chosen by {rules['selection']}" if rules["selection"] != UNCHOSEN else f"({UNCHOSEN})"
    title = f"{result['model']} on {result['dataset']}" + ("  (built-in miniature)" if result["miniature"] else "")
    control = "  control: shuffled features\n" if (result.get("features") or {}).get("shuffled") else ""
    return (
        f"{title}\n"
        f"  loss {rules['loss']} | {rules['split']} | {evaluation} over {rules['items']} items\n"
        f"  seed {rules['seed']} | epoch {result['best_epoch']} of {result['epochs_run']} {chosen}\n"
        f"{control}{table.draw()}{_group_lines(result)}"
    )


GROUPS = (("items", "tail"), ("items", "head"), ("items", "cold"), ("users", "short"), ("users", "long"))


def _group_lines(result: Dict[str, Any]) -> str:
    """Return the test metrics of groups at the middle cut-off, a line each; nothing where there are none."""
    groups = (result.get("groups") or {}).get("test") or {}
    shown = [
        (what, name, groups[what][name]) for what, name in GROUPS if groups.get(what, {}).get(name, {}).get("cases")
    ]
    if not shown:
        return ""
    ks = sorted(int(name.partition("@")[2]) for name in shown[0][2] if name.startswith("hit@"))
    k, limits = ks[len(ks) // 2], groups["limits"]
    lines = [
        f"  {name + ' ' + what:12} {row['cases']:>7,} cases   hit@{k} {row[f'hit@{k}']:.4f}   ndcg@{k} {row[f'ndcg@{k}']:.4f}"
        for what, name, row in shown
    ]
    rule = f"  test, by training interactions (tail items < {limits['tail_items']:g}, short users < {limits['short_users']:g})"
    return "\n".join(["", rule, *lines])
