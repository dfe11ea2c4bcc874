"""The whole chain: a tiny pre-trained model, adapted and not, its vectors, and SASRec_SDA on them.

By default, the data are the built-in miniature of Amazon_Sports. A picture shows colour and silhouette of a product; a text
names its kind, which goes with the silhouette, and its purpose. A user's next product mostly has the colour of the last one and
the purpose that follows. The model (lvlm_pretrain.py) has seen other pictures with captions and other texts, never a text
beside its picture.

With --dataset, the data are DATA_PATH/DATASET with its items.jsonl and images, the model is pre-trained on these images, with
captions of their colours, and on these texts, and the recommender has the settings of preset strong.

Each step writes its result to OUT/results.json; a second call continues with the missing steps.

    python benchmarks/lvlm_chain.py [--out=runs/lvlm-chain] [--seeds=[1,2,3]] [--steps=60] [--pretraining_steps=400] [--rows=[...]]
        [--dataset=NAME --data_path=FOLDER]
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import pandas as pd
import torch
from lvlm_pretrain import invented, of_items, pretrain
from options import check_names, check_none_left, take

from recbole_sda import run
from recbole_sda.cli.exit_status import run_command
from recbole_sda.cli.run import parse
from recbole_sda.data.dataset_choice import ensure_sample
from recbole_sda.io.atomic_write import write_text
from recbole_sda.io.logs import start_logging
from recbole_sda.lvlm.adaptation import run_adaptation
from recbole_sda.lvlm.extraction import run_extraction
from recbole_sda.lvlm.gradients import METHODS, measure
from recbole_sda.lvlm.settings import LVLMSettings, read_settings

MINIATURE = "Amazon_Sports-sample"
STAGE = {
    "dtype": "float32", "batch_size": 32, "eval_every": 30, "learning_rate": 3e-3, "workers": 0, "threads": 1, "device": "cpu",
    "held_out": 0.1, "dropout": 0.0, "store_dtype": "float32", "token_budget": 4096,
}  # fmt: skip
RECOMMENDER = {"n_layers": 1, "learning_rate": 0.004, "epochs": 30, "stopping_step": 3}
# Of equal numbers of trainable weights: MoDA's gates take the place of rank.
LORA_RANK, TWO_LORA_RANK = 10, 5
CO_PURCHASES = {"bought_together_weight": 0.3}
ROWS: Dict[str, Dict[str, Any]] = {
    "unadapted": {"method": "none"},
    "LoRA": {"method": "lora", "rank": LORA_RANK},
    "two LoRAs": {"method": "two_lora", "rank": TWO_LORA_RANK},
    "MoDA": {"method": "moda"},
    "MoDA, InfoNCE": {"method": "moda", "loss": "infonce"},
    "MoDA, co-purchases": {"method": "moda", **CO_PURCHASES},
    "MoDA, co-purchases, masked": {"method": "moda", **CO_PURCHASES, "bought_together_mask": True},
}
IDS = "none (SASRec)"
SHUFFLED = ("MoDA",)  # rows that are also run with the features of other items


class Chain:
    """The steps of the chain with their results.

    Args:
        out: folder for data, models and results.
        steps: steps of an adaptation.
        pretraining_steps: steps of the pre-training.
        dataset: a data set with items.jsonl and images; None: the miniature, which is written to ``out``.
        data: folder of the data set.
    """

    def __init__(
        self, out: Path, steps: int, pretraining_steps: int, dataset: Optional[str] = None, data: Path = Path("dataset")
    ):
        self.out, self.steps, self.path, self.model = out, steps, out / "results.json", out / "model"
        self.dataset, self.data = dataset or MINIATURE, data if dataset else out / "data"
        self.recommender: Dict[str, Any] = {"preset": "strong"} if dataset else RECOMMENDER
        out.mkdir(parents=True, exist_ok=True)
        self.results: Dict[str, Any] = json.loads(self.path.read_text()) if self.path.is_file() else {}
        if not dataset:
            ensure_sample(MINIATURE, str(self.data))
        if not self.model.is_dir():
            corpus = of_items(self.settings("unadapted", 1)) if dataset else invented()
            pretrain(self.model, corpus, pretraining_steps)

    def settings(self, row: str, seed: int) -> LVLMSettings:
        """Return the settings of a row's adaptation."""
        folder = self.data / self.dataset
        keys = {
            "backbone": str(self.model),
            "items": str(folder / "items.jsonl"),
            "interactions": str(folder / f"{self.dataset}.inter"),
        }
        return read_settings((), {**STAGE, **keys, "steps": self.steps, "seed": seed, **ROWS[row]})

    def once(self, name: str, action: Any) -> Any:
        """Return the result of a step, from an earlier call or from ``action``."""
        if name not in self.results:
            self.results[name] = action()
            write_text(self.path, json.dumps(self.results, indent=1) + "\n")
            print(f"{name}: {self.results[name]}", flush=True)
        return self.results[name]

    def features(self, row: str, seed: int) -> str:
        """Adapt and extract; return the name of the feature store. Unadapted features are the same for all seeds."""
        adapted = row != "unadapted"
        name = f"{row}-{seed}".replace(", ", "-").replace(" ", "-") if adapted else row
        store = self.data / self.dataset / "features" / name
        settings = self.settings(row, seed)
        if adapted:
            self.once(f"adapt {row} {seed}", lambda: self._adapt(settings, name))
            settings = read_settings((), {"adapter": str(self.out / name)}, settings.plain())
        if not store.is_dir():
            run_extraction(settings, store)
        return name

    def _adapt(self, settings: LVLMSettings, name: str) -> Dict[str, float]:
        from recbole_sda.lvlm.record import read_record

        run_adaptation(settings, self.out / name, overwrite=True)
        record = read_record(self.out / name / "adapt.yaml")
        kept = ("recall@1", "recall@10", "alignment")
        return {f"{part} {key}": record[part][key] for part in ("before", "best") for key in kept} | {
            "step": record["best"]["step"]
        }

    def recommend(self, features: Optional[str], seed: int, shuffled: bool = False) -> Dict[str, float]:
        """Return the test metrics of SASRec_SDA on a feature store, or of SASRec, without features."""
        keys = {
            "data_path": str(self.data), "runs_path": str(self.out / "runs"), "seed": seed, "threads": 1, "use_gpu": False,
            **self.recommender,
        }  # fmt: skip
        if features is None:
            result = run("SASRec", self.dataset, overrides=keys)
        else:
            keys |= {"features": features, "shuffle_features": shuffled}
            result = run("SASRec_SDA", self.dataset, overrides=keys)
        return {key: result["test"][key] for key in ("hit@10", "ndcg@10")} | {"valid": result["valid"]["ndcg@10"]}

    def gradients(self, seed: int) -> Dict[str, Any]:
        """Return per method the mean cosine of image and text gradients, before and after training."""
        settings = self.settings("MoDA", seed)
        settings = read_settings((), {"steps": min(self.steps, 30)}, settings.plain())
        methods = measure(settings, points=2, n_batches=2)["methods"]
        return {
            name: {"first": points[0]["mean"], "last": points[-1]["mean"], "negative": points[-1]["negative_share"]}
            for name, points in methods.items()
        }


def table(results: Dict[str, Any], seeds: List[int]) -> str:
    """Return the tables of all finished steps in Markdown: mean and sample standard deviation over seeds."""
    lines = []
    for row in [IDS, *ROWS, *(f"{row}, shuffled" for row in SHUFFLED)]:
        runs = [results[f"run {row} {seed}"] for seed in seeds if f"run {row} {seed}" in results]
        part, of = ("before", "MoDA") if row == "unadapted" else ("best", row)  # measured before each adaptation
        adapts = [results[f"adapt {of} {seed}"] for seed in seeds if f"adapt {of} {seed}" in results]
        if not runs:
            continue
        line = {"features": row, "seeds": len(runs)}
        line |= {f"held-out {key}": _mean([a[f"{part} {key}"] for a in adapts]) for key in ("recall@1", "recall@10")}
        line |= {name: _mean([r[key] for r in runs]) for name, key in (("Hit@10", "hit@10"), ("NDCG@10", "ndcg@10"))}
        lines.append(line)
    parts = [pd.DataFrame(lines).to_markdown(index=False)] if lines else []
    found = [results[f"gradients {seed}"] for seed in seeds if f"gradients {seed}" in results]
    if found:
        heads = {"first": "cosine before", "last": "cosine after", "negative": "layers below zero after"}
        rows = [{"adapter": m, **{heads[key]: _mean([f[m][key] for f in found]) for key in heads}} for m in METHODS]
        parts.append(pd.DataFrame(rows).to_markdown(index=False))
    return "\n\n".join(parts)


def _mean(values: List[float]) -> str:
    if not values:
        return ""
    return f"{np.mean(values):.4f}" + (f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else "")


def show() -> None:
    """Run all missing steps, seed by seed, and print the tables."""
    given = parse(sys.argv[1:])
    keys = dict(given.keys)
    defaults = {"seeds": [1, 2, 3], "rows": list(ROWS), "out": "runs/lvlm-chain", "data_path": "dataset", "steps": 60}
    seeds, rows, out, data, steps, pretraining = take(keys, **defaults, pretraining_steps=400)
    check_none_left(keys, ("dataset", *defaults, "pretraining_steps"))
    check_names("rows", rows, ROWS)
    torch.set_num_threads(1)
    start_logging("error")
    logging.getLogger("recbole_sda").setLevel(logging.ERROR)
    chain = Chain(Path(out), steps, pretraining, given.dataset, Path(data))
    for seed in seeds:
        chain.once(f"run {IDS} {seed}", lambda: chain.recommend(None, seed))  # noqa: B023
        for row in rows:
            name = chain.features(row, seed)
            chain.once(f"run {row} {seed}", lambda: chain.recommend(name, seed))  # noqa: B023
            if row in SHUFFLED:
                chain.once(f"run {row}, shuffled {seed}", lambda: chain.recommend(name, seed, True))  # noqa: B023
    for seed in seeds:
        chain.once(f"gradients {seed}", lambda: chain.gradients(seed))  # noqa: B023
    print(table(chain.results, seeds))


if __name__ == "__main__":
    sys.exit(run_command(show))
