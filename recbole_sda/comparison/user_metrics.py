"""Metrics of each user of a run, read from its file of ranks: what paired tests compare."""

import hashlib
import re
from pathlib import Path
from typing import Sequence

import numpy as np
import pandas as pd

from recbole_sda.engine.rank_files import RANKS
from recbole_sda.errors import InputError
from recbole_sda.metrics.ranks import Cases, per_case, per_row

SCOPES = ("all", "tail")


def cutoffs(metrics: Sequence[str]) -> list:
    """Return the k of names like ``ndcg@10``; another form is an InputError."""
    for name in metrics:
        if not re.fullmatch(r"(hit|recall|ndcg|mrr)@[1-9]\d*", name):
            raise InputError(f"metrics: {name!r}: expected a name like hit@10, recall@10, ndcg@10 or mrr@10")
    return sorted({int(name.partition("@")[2]) for name in metrics})


def _ranks(run_dir, phase: str) -> pd.DataFrame:
    path = Path(run_dir) / RANKS.format(phase=phase)
    if not path.is_file():
        raise InputError(f"{path} is missing: the run did not end, or was made by an older version")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); repeat the run") from error


def case_hash(run_dir) -> str:
    """Return a hash of the users and right items that a run was tested on; their order does not matter."""
    pairs = pd.util.hash_pandas_object(_ranks(run_dir, "test")[["user_id", "item_id"]], index=False)
    return hashlib.sha256(np.sort(pairs.to_numpy()).tobytes()).hexdigest()


def user_metrics(run_dir, metrics: Sequence[str], scope: str = "all", phase: str = "test") -> pd.DataFrame:
    """Return metrics by user, a column each, indexed by external user id.

    Args:
        run_dir: the run folder.
        metrics: names like ``hit@10``.
        scope: ``all``: a user's list as RecBole judges it; ``tail``: of right items that are tail items, each judged as if it
            were the only one.
        phase: ``valid`` or ``test``.
    """
    table = _ranks(run_dir, phase)
    if scope == "tail":
        table = table[table["tail"]].reset_index(drop=True)
    cases = Cases(
        table["row"].to_numpy(np.int64), *(np.zeros(len(table), np.int64),) * 2, table["rank"].to_numpy(np.int64)
    )
    if scope == "tail":
        values, users = per_case(cases, cutoffs(metrics)), table["user_id"].to_numpy()
        values |= {
            name.replace("hit@", "recall@"): column for name, column in values.items() if name.startswith("hit@")
        }
    else:
        values = per_row(cases, cutoffs(metrics))
        users = table["user_id"].to_numpy()[np.unique(cases.row, return_index=True)[1]]
    return pd.DataFrame({name: values[name] for name in metrics}, index=users).groupby(level=0, observed=True).mean()
