"""Cost of content in the id table and the targets: a training step and an evaluation of each way in, against the base model.

All models are measured in turn in every round, so that other load on the machine slows all; the medians of each round's ratio to
the base model are printed.

    python benchmarks/content_step.py --model=SASRec --dataset=Amazon_Sports --data_path=dataset [--rounds=9] [--key=value]
"""

import sys
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from masking import arguments, evaluation_seconds, train_seconds
from options import take

from recbole_sda.cli.exit_status import run_command
from recbole_sda.engine.run import build, configure

OFF = {"id_start": "random", "id_smoothing": 0.0, "soft_targets": 0.0}
IDS = {**OFF, "item_encoder": "identity", "cmsa_weight": 0.0}
START, SMOOTHING, SOFT = {"id_start": "features"}, {"id_smoothing": 0.5}, {"soft_targets": 0.1}
WAYS = {
    "id_start": {**IDS, **START},
    "id_start, id_bound": {**IDS, **START, "id_bound": 0.5},
    "id_smoothing": {**IDS, **SMOOTHING},
    "id_smoothing, both graphs": {**IDS, **SMOOTHING, "id_graph": "both"},
    "soft_targets": {**IDS, **SOFT},
    "start, smoothing, soft targets": {**IDS, **START, **SMOOTHING, **SOFT},
    "MoDA and CMSA": OFF,
    "all": {**START, **SMOOTHING, **SOFT},
}


def compare() -> None:
    """Measure all ways and print a Markdown table."""
    given, keys = arguments()
    rounds, steps, repeats = take(keys, rounds=9, steps=10, evaluations=3)
    plans = {"base": (given.model, {}), **{name: (f"{given.model}_SDA", way) for name, way in WAYS.items()}}
    with TemporaryDirectory() as folder:
        runs = {}
        for name, (model, way) in plans.items():
            config = configure(model, given.dataset, given.config_files, {**way, **keys})
            runs[name] = build(config, Path(folder) / name)
            runs[name].trainer.eval_collector.data_collect(runs[name].data.train)
        train = {name: [] for name in runs}
        for _ in range(rounds):
            batches = list(islice(runs["base"].data.train, steps))
            for name, run in runs.items():
                train[name].append(train_seconds(run, batches) / steps)
        evaluation = {name: [evaluation_seconds(run) for _ in range(repeats)] for name, run in runs.items()}
    print(f"{given.model} on {given.dataset}, medians of {rounds} rounds of {steps} steps, of {repeats} evaluations\n")
    print("| | step, ms | ratio | evaluation, s | ratio |\n| --- | --- | --- | --- | --- |")
    for name in runs:
        ratio = median(a / b for a, b in zip(train[name], train["base"]))
        again = median(a / b for a, b in zip(evaluation[name], evaluation["base"]))
        print(
            f"| {name} | {1000 * median(train[name]):.1f} | {ratio:.2f} | {median(evaluation[name]):.1f} | {again:.2f} |"
        )


if __name__ == "__main__":
    sys.exit(run_command(compare))
