"""Seconds per training epoch and peak memory of models, each in a separate process, on one thread.

The time includes batches, negative items and the preparation of an epoch, and excludes evaluation.

    python benchmarks/multimodal.py --data_path=data --dataset=Amazon_Instruments --models=[FREEDOM,FREEDOM_SDA] [--epochs=3]
        [--key=value ...]
"""

import multiprocessing
import resource
import statistics
import sys
import time

import torch
from options import take

from recbole_sda.cli.exit_status import run_command, silence_recbole
from recbole_sda.cli.run import parse
from recbole_sda.data.datasets import load_data
from recbole_sda.engine.optimizers import fuse
from recbole_sda.engine.run import configure
from recbole_sda.errors import InputError
from recbole_sda.io.logs import start_logging
from recbole_sda.model.model_table import MULTIMODAL
from recbole_sda.model.registry import model_class


def measure(model: str, dataset: str, keys: dict, epochs: int) -> tuple:
    """Return the seconds of each epoch, the peak memory with data loaded and at the end (MiB), and the steps of an epoch."""
    silence_recbole()
    start_logging("error")
    torch.set_num_threads(1)
    config = configure(model, dataset, (), keys)
    data = load_data(config)
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    network = model_class(model)(config, data.train._dataset).train()
    optimizer = fuse(torch.optim.Adam(network.parameters(), lr=config["learning_rate"]))
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        if hasattr(network, "before_epoch"):
            network.before_epoch()
        for batch in data.train:
            optimizer.zero_grad()
            loss = network.calculate_loss(batch)
            (sum(loss) if isinstance(loss, tuple) else loss).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - started)
    return seconds, loaded, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(data.train)


def main() -> None:
    """Measure the models one after the other and print a Markdown table."""
    arguments = parse(sys.argv[1:])
    if not arguments.dataset:
        raise InputError("--dataset is missing")
    keys = dict(arguments.keys)
    models, epochs = take(keys, models=list(MULTIMODAL), epochs=3)
    context = multiprocessing.get_context("spawn")
    print("| model | s per epoch | steps | MiB with data | MiB |\n| --- | --- | --- | --- | --- |", flush=True)
    for model in models:
        with context.Pool(1) as process:
            seconds, loaded, peak, steps = process.apply(measure, (model, arguments.dataset, keys, epochs))
        print(f"| {model} | {statistics.median(seconds):.2f} | {steps} | {loaded:.0f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
