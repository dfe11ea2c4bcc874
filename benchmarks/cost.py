"""What SDA costs: seconds of a training step and of an evaluation, base models against their SDA versions.

All models of the list are timed in turn, round after round, so that a busy machine slows all of them; reported are
medians over the rounds, and the median of each round's ratio to the base.

    python benchmarks/cost.py --data_path=dataset --dataset=Amazon_Instruments [--models=[SASRec,BPR]] [--rounds=5]
                              [--steps=5] [--key=value ...]
"""

import logging
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

from recbole_sda.command import guarded, parse
from recbole_sda.errors import InputError
from recbole_sda.quick_start import build, configure
from recbole_sda.results import start_logging


class Timed:
    """A model that can do some training steps, and an evaluation, and tells how long it took."""

    def __init__(self, model: str, dataset: str, files: list, keys: dict, folder: str):
        self.run = build(configure(model, dataset, files, keys), Path(folder) / model)
        self.run.trainer.eval_collector.data_collect(self.run.data.train)
        self.batches = list(islice(self.run.data.train, keys.get("steps", 5)))

    def step(self, n_steps: int) -> float:
        """Return the seconds of one training step, the mean of ``n_steps``."""
        model, optimizer = self.run.model, self.run.trainer.optimizer
        model.train()
        started = time.perf_counter()
        for batch in islice(cycle(self.batches), n_steps):
            optimizer.zero_grad()
            loss = model.calculate_loss(batch.to(self.run.config["device"]))
            (sum(loss) if isinstance(loss, tuple) else loss).backward()
            optimizer.step()
        return (time.perf_counter() - started) / n_steps

    def evaluation(self) -> float:
        """Return the seconds of one evaluation of the validation part."""
        started = time.perf_counter()
        self.run.trainer.evaluate(self.run.data.valid, load_best_model=False)
        return time.perf_counter() - started


def compare() -> None:
    """Time all models and print a Markdown table."""
    given = parse(sys.argv[1:])
    if not given.dataset:
        raise InputError("--dataset is missing")
    start_logging("warning")
    logging.getLogger("recbole_sda").setLevel(logging.WARNING)
    keys = dict(given.keys)
    bases, rounds, steps = keys.pop("models", ["SASRec"]), keys.pop("rounds", 5), keys.pop("steps", 5)
    lines = ["| model | step, s | ratio | evaluation, s | ratio |", "| --- | --- | --- | --- | --- |"]
    with TemporaryDirectory() as folder:
        for base in bases:
            names = (base, f"{base}_SDA")
            models = [Timed(name, given.dataset, given.config_files, keys, folder) for name in names]
            for model in models:
                model.step(1)
            times = [[(model.step(steps), model.evaluation()) for model in models] for _ in range(rounds)]
            for k, name in enumerate(names):
                cells = [name]
                for what in (0, 1):
                    cells.append(f"{median(row[k][what] for row in times):.3f}")
                    cells.append(f"{median(row[k][what] / row[0][what] for row in times):.2f}")
                lines.append("| " + " | ".join(cells) + " |")
    print(f"{given.dataset}, {torch.get_num_threads()} threads, {rounds} rounds of {steps} steps\n")
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(guarded(compare))
