"""Invented data on which MoDA's gates and CMSA's alignment should matter, and what they bring there.

Users choose items by latent tastes. Both modalities show the same latent vector of an item:

- conflict: the text is the image's vector with the opposite sign, and noise. One shared map of the two, averaged, sees nothing.
- unaligned: the text is a rotation of the image's vector, and noise; two items of five have an image alone, two a text alone.

    python benchmarks/planted.py [--out=runs/planted] [--seeds=[1,2,3]] [--epochs=40]
"""

import sys
from pathlib import Path

import numpy as np
from options import take

from recbole_sda import compare, write_store
from recbole_sda.cli.exit_status import run_command
from recbole_sda.cli.run import parse
from recbole_sda.comparison.tables import to_markdown

USERS, ITEMS, LATENT, WIDTH, HISTORY = 1500, 800, 8, 32, 12
NO_IDS = {"id_embedding": "none"}
MODELS = {
    "BPR": {},
    "shared map": {"model": "BPR_SDA", "base": "BPR", "keys": {**NO_IDS, "moda_rank": 0, "cmsa_weight": 0.0}},
    "one expert": {
        "model": "BPR_SDA",
        "base": "shared map",
        "keys": {**NO_IDS, "moda_experts": 1, "cmsa_weight": 0.0},
    },
    "MoDA": {"model": "BPR_SDA", "base": "one expert", "keys": {**NO_IDS, "cmsa_weight": 0.0}},
    "MoDA, CMSA": {"model": "BPR_SDA", "base": "MoDA", "keys": {**NO_IDS}},
    "MoDA, CMSA 1": {"model": "BPR_SDA", "base": "MoDA", "keys": {**NO_IDS, "cmsa_weight": 1.0}},
    "MoDA, InfoNCE": {"model": "BPR_SDA", "base": "MoDA", "keys": {**NO_IDS, "cmsa_teacher": "identity"}},
    "two maps": {
        "model": "BPR_SDA",
        "base": "shared map",
        "keys": {**NO_IDS, "item_encoder": "linear", "encoder_hidden_size": 64, "cmsa_weight": 0.0},
    },
}


def write(folder: Path, kind: str, rng: np.random.Generator) -> None:
    """Write interactions and a feature store of one kind."""
    tastes, latent = rng.normal(size=(USERS, LATENT)), rng.normal(size=(ITEMS, LATENT))
    popularity = 0.5 * rng.gumbel(size=ITEMS)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{folder.name}.inter", "w", encoding="utf-8") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user in range(USERS):
            scores = 1.5 * latent @ tastes[user] / LATENT**0.5 + popularity + rng.gumbel(size=ITEMS)
            for time, item in enumerate(np.argsort(-scores)[:HISTORY]):
                file.write(f"u{user}\ti{item}\t{(time * 7) % HISTORY}\n")
    image = latent @ rng.normal(size=(LATENT, WIDTH))
    rotation = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
    text = -image if kind == "conflict" else image @ rotation
    vectors = {name: x + 0.5 * rng.normal(size=x.shape) for name, x in (("image", image), ("text", text))}
    part = np.arange(ITEMS) % 5
    present = {"image": part < 3, "text": (part < 1) | (part >= 3)} if kind == "unaligned" else {}
    matrices = {name: x.astype(np.float32) for name, x in vectors.items()}
    write_store(
        folder / "features/planted", [f"i{k}" for k in range(ITEMS)], matrices, present, {"encoder": "invented"}
    )


def show() -> None:
    """Write the data, run the comparison and print its tables."""
    keys = dict(parse(sys.argv[1:]).keys)
    out, seeds = take(keys, out="runs/planted", seeds=[1, 2, 3])
    out = Path(out)
    for kind in ("conflict", "unaligned"):
        if not (out / "data" / kind / "features").is_dir():
            write(out / "data" / kind, kind, np.random.default_rng(0))
    plan = {
        "title": "Planted modalities",
        "about": __doc__.split("\n\n")[1],
        "datasets": ["conflict", "unaligned"],
        "seeds": seeds,
        "models": MODELS,
        "keys": {"data_path": str(out / "data"), "epochs": 40, "stopping_step": 5, "train_batch_size": 1024, "threads": 1,
                 "learning_rate": 0.005, "encoder_lr_factor": 1.0, **keys},
    }  # fmt: skip
    print(to_markdown(compare(plan, out=out / "runs")))


if __name__ == "__main__":
    sys.exit(run_command(show))
