"""Cost of masked histories: a training step with train_mask_history and an evaluation with mask_history, against those without.

Both settings are measured on the same model and batches, in turn in every round, so that other load on the machine slows both.
The medians of each round's ratio are printed.

    python benchmarks/masking.py --model=SASRec --dataset=Amazon_Sports --data_path=dataset [--rounds=15] [--steps=5] [--key=value]
"""

import logging
import sys
import time
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from options import take

from recbole_sda.cli.exit_status import run_command
from recbole_sda.cli.run import parse
from recbole_sda.engine.run import Run, build, configure
from recbole_sda.errors import InputError
from recbole_sda.io.logs import start_logging


def arguments() -> tuple:
    """Return the parsed command line and a copy of its keys; log warnings alone."""
    given = parse(sys.argv[1:])
    if not given.model or not given.dataset:
        raise InputError("--model and --dataset are missing")
    start_logging("warning")
    logging.getLogger("recbole_sda").setLevel(logging.WARNING)
    return given, dict(given.keys)


def train_seconds(run: Run, batches: list) -> float:
    """Return the seconds of a training step on each batch."""
    run.model.train()
    started = time.perf_counter()
    for batch in batches:
        run.trainer.optimizer.zero_grad()
        loss = run.model.calculate_loss(batch)
        (sum(loss) if isinstance(loss, tuple) else loss).backward()
        run.trainer.optimizer.step()
    return time.perf_counter() - started


def evaluation_seconds(run: Run) -> float:
    """Return the seconds of one evaluation of the validation part."""
    started = time.perf_counter()
    run.trainer.evaluate(run.data.valid, load_best_model=False)
    return time.perf_counter() - started


def compare() -> None:
    """Measure both settings and print the ratios."""
    given, keys = arguments()
    rounds, steps = take(keys, rounds=15, steps=5)
    with TemporaryDirectory() as folder:
        runs = []
        for masked in (False, True):
            more = {"mask_history": masked, "train_mask_history": masked}
            config = configure(given.model, given.dataset, given.config_files, {**keys, **more})
            runs.append(build(config, Path(folder) / str(masked)))
            runs[-1].trainer.eval_collector.data_collect(runs[-1].data.train)
        train, evaluation = [], []
        for number in range(rounds):
            batches = list(islice(runs[0].data.train, steps))
            plain, masked_run = [train_seconds(run, batches) for run in runs]
            train.append(masked_run / plain)
            if number % 5 == 0:
                plain, masked_run = [evaluation_seconds(run) for run in runs]
                evaluation.append(masked_run / plain)
    print(f"{given.model} on {given.dataset}: training step {median(train):.3f}, evaluation {median(evaluation):.3f}")
    print(f"times with masked histories over times without; medians of {rounds} rounds of {steps} steps")


if __name__ == "__main__":
    sys.exit(run_command(compare))
