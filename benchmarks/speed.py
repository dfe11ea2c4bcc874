"""Time of an epoch and of an evaluation: RecBole's own models, the same models in this package, and their SDA versions.

There are four rows per base model. "RecBole Foo" is RecBole's class with RecBole's dataloaders and trainer. RecBole
imports a file that turns on autograd's anomaly detection, so it is measured with it and without. "Foo" and "Foo_SDA" are
what the main command runs. The models are measured in turn in every round, so that other load on the machine slows all
of them. An epoch's seconds are the mean over ``--steps`` batches of a new epoch, including the time to make them, times
the number of batches. The table has medians over the rounds, also of each round's ratio to RecBole's model.

    python benchmarks/speed.py --data_path=dataset --dataset=Amazon_Sports [--models=[SASRec,BPR]] [--rounds=3] [--steps=10]
                               [--key=value ...]
"""

import logging
import sys
import time
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from options import take

from recbole_sda.cli.exit_status import run_command
from recbole_sda.cli.run import parse
from recbole_sda.engine.run import build, configure
from recbole_sda.errors import InputError
from recbole_sda.io.logs import start_logging
from recbole_sda.model.registry import plain_model
from recbole_sda.recbole_patches.scoped import tensorboard_folder

from recbole.data import create_dataset, data_preparation  # isort: skip
from recbole.utils import get_trainer  # isort: skip


class Timed:
    """A model with its data and trainer, whose steps and evaluation can be timed."""

    def __init__(self, name: str, config, model, trainer, train, valid, anomaly: bool = False):
        self.anomaly = anomaly
        self.name, self.config, self.model, self.trainer = name, config, model, trainer
        self.train, self.valid = train, valid
        trainer.eval_collector.data_collect(train)

    @classmethod
    def recbole(cls, base: str, config) -> list:
        """Return RecBole's model with RecBole's data and trainer, with and without anomaly detection."""
        dataset = create_dataset(config)
        train, valid, _ = data_preparation(config, dataset)
        model = plain_model(base)(config, train._dataset).to(config["device"])
        with tensorboard_folder(config["checkpoint_dir"]):
            trainer = get_trainer(config["MODEL_TYPE"], base)(config, model)
        parts = (config, model, trainer, train, valid)
        return [cls(f"RecBole {base}", *parts, anomaly=True), cls(f"RecBole {base}, no anomaly detection", *parts)]

    @classmethod
    def ours(cls, name: str, config, folder: Path):
        """Return the model, data and trainer that the main command runs."""
        run = build(config, folder / name)
        return cls(name, config, run.model, run.trainer, run.data.train, run.data.valid)

    def epoch(self, n_steps: int) -> tuple:
        """Return the seconds of an epoch and the sequence positions per second, from ``n_steps`` of its batches."""
        field = getattr(self.model, "ITEM_SEQ", self.model.ITEM_ID)
        batches = []
        self.model.train()
        started = time.perf_counter()
        with torch.autograd.set_detect_anomaly(self.anomaly):
            for batch in islice(self.train, n_steps):
                batches.append(batch)
                self.trainer.optimizer.zero_grad()
                loss = self.model.calculate_loss(batch.to(self.config["device"]))
                (sum(loss) if isinstance(loss, tuple) else loss).backward()
                self.trainer.optimizer.step()
        seconds = time.perf_counter() - started
        positions = sum(int((batch[field] > 0).sum()) for batch in batches if field in batch.interaction)
        return seconds / len(batches) * len(self.train), positions / seconds

    def evaluation(self) -> float:
        """Return the seconds of one evaluation of the validation part."""
        started = time.perf_counter()
        self.trainer.evaluate(self.valid, load_best_model=False)
        return time.perf_counter() - started


def _cells(times: list, k: int) -> str:
    """Return the medians over rounds of model number ``k``, with its ratios to the first model."""
    epoch = median(of_round[k][0] for of_round in times)
    epoch_ratio = median(of_round[k][0] / of_round[0][0] for of_round in times)
    positions = median(of_round[k][1] for of_round in times)
    evaluation = median(of_round[k][2] for of_round in times)
    evaluation_ratio = median(of_round[k][2] / of_round[0][2] for of_round in times)
    return f"{epoch:.1f} | {epoch_ratio:.2f} | {positions:,.0f} | {evaluation:.2f} | {evaluation_ratio:.2f}"


def compare() -> None:
    """Time all models and print a Markdown table."""
    given = parse(sys.argv[1:])
    if not given.dataset:
        raise InputError("--dataset is missing")
    start_logging("warning")
    logging.getLogger("recbole_sda").setLevel(logging.WARNING)
    keys = dict(given.keys)
    bases, rounds, steps = take(keys, models=["SASRec"], rounds=3, steps=10)
    print("| model | epoch, s | ratio | positions/s | evaluation, s | ratio |\n| --- | --- | --- | --- | --- | --- |")
    with TemporaryDirectory() as folder:
        for base in bases:

            def config(name, **more):
                return configure(name, given.dataset, given.config_files, {**keys, **more})

            plain = config(base, checkpoint_dir=folder)
            models = [Timed.ours(name, config(name), Path(folder)) for name in (base, f"{base}_SDA")]
            models = [*Timed.recbole(base, plain), *models]
            for model in models:
                model.epoch(1)
            times = [[(*model.epoch(steps), model.evaluation()) for model in models] for _ in range(rounds)]
            for k, model in enumerate(models):
                print(f"| {model.name} | {_cells(times, k)} |", flush=True)
    print(f"\n{given.dataset}, {torch.get_num_threads()} threads, medians of {rounds} rounds of {steps} steps")


if __name__ == "__main__":
    sys.exit(run_command(compare))
