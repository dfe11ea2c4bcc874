"""What features are worth: a base model, its SDA version, and the SDA version with the features of other items.

All three share data, split, loss, seed and every key that is not SDA's. A run that is already there is not repeated.

    python benchmarks/controls.py --data_path=dataset --dataset=Amazon_Instruments [--base=SASRec] [--seeds=[1,2]] [--key=value ...]
"""

import logging
import sys
from pathlib import Path
from statistics import mean, stdev

from recbole_sda.command import guarded, parse
from recbole_sda.errors import InputError
from recbole_sda.quick_start import run
from recbole_sda.results import METRICS, read_metrics, start_logging

COLUMNS = ("hit@10", "ndcg@10", "hit@20", "ndcg@20")


def variants(base: str) -> dict:
    """Return name -> (model, keys) of what is compared."""
    return {
        base: (base, {}),
        f"{base}_SDA": (f"{base}_SDA", {}),
        f"{base}_SDA, shuffled features": (f"{base}_SDA", {"shuffle_features": True}),
    }


def result(folder: Path, model: str, dataset: str, files: list, keys: dict) -> dict:
    """Return the metrics of a run, made now unless the folder holds them."""
    if not (folder / METRICS).is_file():
        run(model, dataset, files, {**keys, "run_dir": str(folder)})
    return read_metrics(folder)


def row(name: str, results: list) -> str:
    """Return a Markdown row: mean over seeds and, with several, the deviation."""
    cells = [name]
    for column in COLUMNS:
        values = [r["test"][column] for r in results]
        cells.append(f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else ""))
    cells.append(", ".join(f"{r['best_epoch']} of {r['epochs_run']}" for r in results))
    cells.append(f"{mean(r['seconds']['training'] / r['epochs_run'] for r in results):.1f}")
    return "| " + " | ".join(cells) + " |"


def compare() -> None:
    """Run all variants and seeds and print the table."""
    given = parse(sys.argv[1:])
    if not given.dataset:
        raise InputError("--dataset is missing")
    start_logging()
    logging.getLogger("recbole_sda.config").setLevel(logging.ERROR)
    keys = dict(given.keys)
    base, seeds = keys.pop("base", "SASRec"), keys.pop("seeds", [2020])
    out = Path(keys.pop("out", "runs/controls")) / given.dataset
    table = {}
    for name, (model, more) in variants(base).items():
        for seed in seeds:
            label = "".join(c if c.isalnum() else "-" for c in name)
            folder = out / f"{label}-seed{seed}"
            made = result(folder, model, given.dataset, given.config_files, {**keys, **more, "seed": seed})
            table.setdefault(name, []).append(made)
    rules = made["protocol"]
    lines = [
        f"{given.dataset}: loss {rules['loss']}, {rules['split']}, {rules['evaluation']['test']}, seeds {seeds}",
        "",
    ]
    lines.append(
        "| model | "
        + " | ".join(c.replace("hit", "Hit").replace("ndcg", "NDCG") for c in COLUMNS)
        + " | best epoch | s per epoch |"
    )
    lines.append("|" + " --- |" * (len(COLUMNS) + 3))
    lines += [row(name, results) for name, results in table.items()]
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(guarded(compare))
