"""Time and memory of a training step by size of the catalogue: with all items scored, or with sampled ones.

Writes random data sets of the given sizes to a temporary folder: each item occurs twice, histories have 19 items, two
modalities have 64 values. Every variant runs in a separate process, so that its peak memory can be measured.

    python benchmarks/catalogue.py [--sizes=[10000,100000,1000000]] [--rounds=3] [--steps=5] [--batch=512]
"""

import json
import logging
import resource
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from options import check_none_left, take

from recbole_sda.cli.exit_status import run_command
from recbole_sda.cli.run import parse
from recbole_sda.engine.run import build, configure
from recbole_sda.features.store import write_store
from recbole_sda.io.logs import start_logging
from recbole_sda.model.registry import plain_model
from recbole_sda.recbole_patches.scoped import tensorboard_folder

from recbole.data import create_dataset, data_preparation  # isort: skip
from recbole.utils import get_trainer  # isort: skip

SAMPLED = {"softmax_negatives": 1000}
VARIANTS = {
    "RecBole SASRec": ("SASRec", {}),
    "SASRec": ("SASRec", {}),
    "SASRec_SDA": ("SASRec_SDA", {}),
    "SASRec, 1,000 sampled": ("SASRec", SAMPLED),
    "SASRec_SDA, 1,000 sampled": ("SASRec_SDA", SAMPLED),
    "SASRec_SDA without ids, 1,000 sampled": ("SASRec_SDA", {**SAMPLED, "id_embedding": "none"}),
}
LENGTH = 20


def write_dataset(folder: Path, n_items: int) -> None:
    """Write an interaction file and a feature store of ``n_items`` items."""
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(n_items), rng.permutation(n_items)])
    users = np.arange(len(items)) // LENGTH
    folder.mkdir(parents=True)
    with open(folder / f"{folder.name}.inter", "w", encoding="utf-8") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        file.writelines(f"u{user}\ti{item}\t{k}\n" for k, (user, item) in enumerate(zip(users, items)))
    matrices = {name: rng.standard_normal((n_items, 64), dtype=np.float32) for name in ("image", "text")}
    present = {name: np.ones(n_items, dtype=bool) for name in matrices}
    write_store(
        folder / "features" / "random", [f"i{k}" for k in range(n_items)], matrices, present, {"name": "random"}
    )


def peak() -> float:
    """Return the peak resident memory of this process in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(name: str, dataset: str, keys: dict, rounds: int, steps: int) -> dict:
    """Return the seconds of a step and the peak memory in GiB, before the first step and at the end."""
    model_name, variant_keys = VARIANTS[name]
    config = configure(model_name, dataset, (), {**keys, **variant_keys})
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        if name.startswith("RecBole"):
            train = data_preparation(config, create_dataset(config))[0]
            model = plain_model(model_name)(config, train._dataset)
            config["checkpoint_dir"] = folder
            with tensorboard_folder(folder):
                trainer = get_trainer(config["MODEL_TYPE"], model_name)(config, model)
        else:
            run = build(config, Path(folder))
            train, model, trainer = run.data.train, run.model, run.trainer
        batches = list(islice(train, steps))
        model.train()
        times, before = [], peak()
        for _ in range(rounds + 1):
            started = time.perf_counter()
            for batch in batches:
                trainer.optimizer.zero_grad()
                loss = model.calculate_loss(batch)
                (sum(loss) if isinstance(loss, tuple) else loss).backward()
                trainer.optimizer.step()
            times.append((time.perf_counter() - started) / len(batches))
    return {"seconds": median(times[1:]), "before": before, "peak": peak()}


def compare() -> None:
    """Measure all variants on all sizes and print a Markdown table."""
    arguments = parse(sys.argv[1:])
    keys = dict(arguments.keys)
    start_logging("warning")
    logging.getLogger("recbole_sda").setLevel(logging.WARNING)
    if "variant" in keys:
        print(json.dumps(measure(keys.pop("variant"), arguments.dataset, keys, keys.pop("rounds"), keys.pop("steps"))))
        return
    sizes, rounds, steps, batch = take(keys, sizes=[10_000, 100_000, 1_000_000], rounds=3, steps=5, batch=512)
    check_none_left(keys, ("sizes", "rounds", "steps", "batch"))
    print("| items | model | s per step | ratio | memory before training, GiB | peak, GiB |\n|" + " --- |" * 6)
    with TemporaryDirectory() as root:
        for size in sizes:
            write_dataset(Path(root) / f"items{size}", size)
            first = None
            for name in VARIANTS:
                arguments_of_variant = {
                    "variant": name, "data_path": root, "dataset": f"items{size}", "rounds": rounds, "steps": steps,
                    "train_batch_size": batch, "MAX_ITEM_LIST_LENGTH": LENGTH, "threads": 1,
                    "use_gpu": False,
                }  # fmt: skip
                command = [
                    sys.executable,
                    __file__,
                    *(f"--{key}={value}" for key, value in arguments_of_variant.items()),
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    reason = (done.stderr.strip().splitlines() or [f"killed by signal {-done.returncode}"])[-1]
                    print(f"| {size:,} | {name} | {reason} | | | |", flush=True)
                    continue
                result = json.loads(done.stdout.splitlines()[-1])
                first = first or result["seconds"]
                ratio = result["seconds"] / first
                cells = f"{result['seconds']:.3f} | {ratio:.2f} | {result['before']:.2f} | {result['peak']:.2f}"
                print(f"| {size:,} | {name} | {cells} |", flush=True)
    print(f"\nbatches of {batch} targets, {torch.__version__}, 1 thread, medians of {rounds} x {steps} steps")


if __name__ == "__main__":
    sys.exit(run_command(compare))
