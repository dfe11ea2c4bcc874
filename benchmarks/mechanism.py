"""How content moves the items of a run: length of item rows and rank of test items, by training interactions.

Reads finished runs of models with an item table, and prints a Markdown table with a column per run: the median length of the rows
as the model scores them, and the median rank and Hit@10 of the test items.

    python benchmarks/mechanism.py runs/base runs/sda [...]
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from recbole_sda import load
from recbole_sda.cli.exit_status import run_command
from recbole_sda.engine.rank_files import RANKS
from recbole_sda.errors import InputError
from recbole_sda.model.registry import base_spec

GROUPS = {"0": (0, 0), "1-3": (1, 3), "4-9": (4, 9), "10-49": (10, 49), "50 and more": (50, 10**9)}


def lengths(folder: str) -> pd.Series:
    """Return the median length of the item rows of each group of training interactions."""
    run = load(folder)
    spec = base_spec(run.config["model"])
    if spec is None:
        raise InputError(f"{folder}: {run.config['model']} has no item table")
    run.model.eval()
    with torch.no_grad():
        rows = getattr(run.model, spec.item_table).weight[: run.data.dataset.item_num].norm(dim=1).cpu().numpy()
    counts = run.data.counts.items
    items = np.arange(len(counts)) > 0
    return pd.Series(
        {name: np.median(rows[items & (counts >= low) & (counts <= high)]) for name, (low, high) in GROUPS.items()}
    )


def ranks(folder: str) -> pd.DataFrame:
    """Return number, median rank and Hit@10 of the test items of each group of training interactions."""
    table = pd.read_parquet(Path(folder) / RANKS.format(phase="test"))
    parts = {name: table["rank"][table["popularity"].between(low, high)] for name, (low, high) in GROUPS.items()}
    return pd.DataFrame(
        {name: {"cases": len(r), "median rank": r.median(), "Hit@10": (r <= 10).mean()} for name, r in parts.items()}
    ).T


def show() -> None:
    """Print the table of the runs."""
    folders = sys.argv[1:]
    if not folders:
        raise InputError("name one or more run folders")
    columns = {}
    for folder in folders:
        name, found = Path(folder).name, ranks(folder)
        columns["cases"] = found["cases"].astype(int).astype(str)
        columns[f"{name}: length"] = lengths(folder).map("{:.2f}".format)
        columns[f"{name}: median rank"] = found["median rank"].map("{:.0f}".format)
        columns[f"{name}: Hit@10"] = found["Hit@10"].map("{:.4f}".format)
    print(pd.DataFrame(columns).rename_axis("training interactions").to_markdown(disable_numparse=True))


if __name__ == "__main__":
    sys.exit(run_command(show))
