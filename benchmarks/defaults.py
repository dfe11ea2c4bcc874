"""Search for the defaults of properties/sda.yaml: one setting is changed at a time, on validation data alone.

Reads benchmarks/defaults.yaml: keys of every run, of a data set, of a model, and variants with the keys that they change.
The test part is never loaded. A run that already has a line in the results is not repeated.

    python benchmarks/defaults.py --data_path=dataset [--models=[SASRec_SDA]] [--datasets=[Amazon_Sports]] [--variants=[...]]
"""

import json
import logging
import sys
import tempfile
from pathlib import Path

import pandas as pd
import yaml
from options import take

from recbole_sda.cli.exit_status import run_command
from recbole_sda.cli.run import parse
from recbole_sda.engine.rank_files import group_metrics
from recbole_sda.engine.run import build, configure
from recbole_sda.engine.train_log import read_history
from recbole_sda.errors import InputError
from recbole_sda.io.logs import start_logging

PLAN = Path(__file__).with_suffix(".yaml")
logger = logging.getLogger("defaults")


def validate(model: str, dataset: str, keys: dict) -> dict:
    """Train without the test part; return the best epoch's validation metrics, also on tail items, and the time."""
    config = configure(model, dataset, (), keys)
    with tempfile.TemporaryDirectory() as folder:
        run = build(config, Path(folder), with_test=False)
        run.trainer.fit(run.data.train, run.data.valid)
        lines = read_history(folder)
    seconds = [line["seconds"] for line in lines if line["phase"] == "train"]
    groups = group_metrics(run.trainer.best_ranking, run.data.counts, config, "valid")
    tail = {name: value for name, value in groups["items"]["tail"].items() if name.endswith("@10") or name == "cases"}
    return {
        "valid": {name: float(value) for name, value in run.trainer.best_valid_result.items()},
        "tail": tail,
        "best_epoch": run.trainer.best_epoch + 1,
        "epochs": len(seconds),
        "seconds": round(sum(seconds), 1),
    }


def chosen_names(plan: dict, part: str, names) -> list:
    """Return the given names of a part of the plan, or all names of it."""
    for name in names or ():
        if name not in plan[part]:
            raise InputError(f"--{part}: {name!r} is not in {PLAN.name}; available: {', '.join(plan[part])}")
    return list(names or plan[part])


def table(lines: list, first: str) -> str:
    """Return a Markdown table of the means over seeds of each variant, with the gain over the variant ``first``."""
    frame = pd.DataFrame([{"variant": line["variant"], "seed": line["seed"], **_shown(line)} for line in lines])
    means = frame.drop(columns="seed").groupby("variant", sort=False).mean()
    means.insert(
        1, "gain, %", 100 * (means["NDCG@10"] / means.loc[first, "NDCG@10"] - 1) if first in means.index else None
    )
    return means.round({"gain, %": 1, "epochs": 1, "seconds": 0}).to_markdown(floatfmt=".4f")


def _shown(line: dict) -> dict:
    valid, tail = line["valid"], line["tail"]
    shown = {"NDCG@10": valid["ndcg@10"], "Hit@10": valid["hit@10"]}
    shown |= {"tail NDCG@10": tail.get("ndcg@10", 0.0), "tail Hit@10": tail.get("hit@10", 0.0)}
    return shown | {"epochs": line["epochs"], "seconds": line["seconds"]}


def search() -> None:
    """Run the variants and print a table per model and data set."""
    keys = dict(parse(sys.argv[1:]).keys)
    plan = yaml.safe_load(PLAN.read_text(encoding="utf-8"))
    out, seeds = take(keys, out="runs/defaults", seeds=[1])
    names = {part: chosen_names(plan, part, keys.pop(part, None)) for part in ("models", "datasets", "variants")}
    start_logging("error")
    logger.setLevel(logging.INFO)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for dataset in names["datasets"]:
        for model in names["models"]:
            path = out / f"{dataset}-{model}.jsonl"
            lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
            for seed in seeds:
                for variant in names["variants"]:
                    if any((line["variant"], line["seed"]) == (variant, seed) for line in lines):
                        continue
                    parts = (plan["keys"], plan["datasets"][dataset], plan["models"][model], plan["variants"][variant])
                    given = {key: value for part in parts for key, value in (part or {}).items()}
                    result = validate(model, dataset, {**given, **keys, "seed": seed})
                    lines.append({"variant": variant, "seed": seed, **result})
                    with open(path, "a", encoding="utf-8") as file:
                        file.write(json.dumps(lines[-1]) + "\n")
                    logger.info("%s on %s, %s, seed %d: %s", model, dataset, variant, seed, _shown(lines[-1]))
            print(f"\n{model} on {dataset}, validation data\n\n{table(lines, names['variants'][0])}\n")


if __name__ == "__main__":
    sys.exit(run_command(search))
