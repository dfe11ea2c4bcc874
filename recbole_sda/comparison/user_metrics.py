"""Metrics of each user of a run, computed from its file of ranks: the samples of the paired tests."""

import hashlib
import re
from pathlib import Path
from typing import List, Sequence, Union

import numpy as np
import pandas as pd
import pyarrow

from recbole_sda.engine.rank_files import RANKS
from recbole_sda.errors import InputError
from recbole_sda.io.parquet import read_parquet
from recbole_sda.metrics.ranks import Cases, case_metrics, list_metrics

GROUPS = {  # of right items -> which rows of a file of ranks they have
    "tail": lambda table: table["tail"],
    "cold": lambda table: table["popularity"] == 0,
    "warm": lambda table: table["popularity"] > 0,
}
SCOPES = ("all", *GROUPS)
COLUMNS = {"row": "i", "user_id": "", "item_id": "", "rank": "i", "popularity": "i", "tail": "b"}  # -> numpy's kind
LOWEST = {"row": 0, "rank": 1, "popularity": 0}
WORDS = {"i": "whole numbers, ranks from 1 and others from 0", "b": "truth values"}


def cutoffs(metrics: Sequence[str]) -> List[int]:
    """Return the distinct k of names such as ``ndcg@10``, ascending; a name of another form is an InputError."""
    for name in metrics:
        if not re.fullmatch(r"(hit|recall|ndcg|mrr)@[1-9]\d*", name):
            raise InputError(f"metrics: {name!r}: expected a name such as hit@10, recall@10, ndcg@10 or mrr@10")
    return sorted({int(name.partition("@")[2]) for name in metrics})


def _ranks(run_dir: Union[str, Path], phase: str) -> pd.DataFrame:
    path = Path(run_dir) / RANKS.format(phase=phase)
    if not path.exists():
        raise InputError(f"{path} is missing: the run did not finish, or an older version made it")
    content = read_parquet(path, COLUMNS)
    for name in ("user_id", "item_id"):
        if pyarrow.types.is_nested(content.schema.field(name).type):
            raise InputError(f"{path}, column {name!r}: expected ids; repeat the run")
    table: pd.DataFrame = content.to_pandas()
    for name, kind in COLUMNS.items():
        if kind and (table[name].dtype.kind != kind or (kind == "i" and table[name].min() < LOWEST[name])):
            raise InputError(f"{path}, column {name!r}: expected {WORDS[kind]}; repeat the run")
    return table


def case_hash(run_dir: Union[str, Path]) -> str:
    """Return a SHA-256 over the pairs of user and right item that a run was tested on; their order does not matter."""
    pairs = pd.util.hash_pandas_object(_ranks(run_dir, "test")[["user_id", "item_id"]], index=False)
    return hashlib.sha256(np.sort(pairs.to_numpy()).tobytes()).hexdigest()


def user_metrics(
    run_dir: Union[str, Path], metrics: Sequence[str], scope: str = "all", phase: str = "test"
) -> pd.DataFrame:
    """Return the metrics of each user: one row per user (index: external user id), one column per metric.

    A user with several evaluated lists has the mean of them.

    Args:
        run_dir: the run folder.
        metrics: names such as ``hit@10``.
        scope: ``all``: a list is judged as RecBole judges it. ``tail``, ``cold`` or ``warm``: only right items of this group
            count, and each is judged as if it were the only right item of its list. Cold items have no training interaction.
        phase: ``valid`` or ``test``.

    Raises:
        InputError: a metric has another name, or the file of ranks is missing or damaged.
    """
    table = _ranks(run_dir, phase)
    if scope in GROUPS:
        table = table[GROUPS[scope](table)].reset_index(drop=True)
    no_ids = np.zeros(len(table), np.int64)  # ranks alone decide
    cases = Cases(table["row"].to_numpy(np.int64), no_ids, no_ids, table["rank"].to_numpy(np.int64))
    if scope in GROUPS:
        values, users = case_metrics(cases, cutoffs(metrics)), table["user_id"].to_numpy()
        values |= {name.replace("hit@", "recall@"): hits for name, hits in values.items() if name.startswith("hit@")}
    else:
        values = list_metrics(cases, cutoffs(metrics))
        users = table["user_id"].to_numpy()[np.unique(cases.row, return_index=True)[1]]
    return pd.DataFrame({name: values[name] for name in metrics}, index=users).groupby(level=0, observed=True).mean()
