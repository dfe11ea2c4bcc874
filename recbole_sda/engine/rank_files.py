"""Metrics of groups of users and items, and the file of ranks that a run leaves for each evaluation."""

from pathlib import Path
from typing import Any, Dict

import numpy as np
import pandas as pd

from recbole_sda.data.datasets import Counts
from recbole_sda.engine.collector import Ranking
from recbole_sda.io.atomic_write import atomic_write
from recbole_sda.metrics.groups import coverage_and_gini, item_groups, short_users, tail_items, user_groups

RANKS = "ranks-{phase}.parquet"


def group_metrics(ranking: Ranking, counts: Counts, config: Any, phase: str) -> Dict[str, Any]:
    """Return the metrics of an evaluation by groups of items and users; with full sort also the spread of recommendations.

    Args:
        ranking: ranking of the evaluation.
        counts: interactions of each user and item in the training part.
        config: configuration of the run, with ``topk``, ``tail_items`` and ``short_users``.
        phase: ``valid`` or ``test``.

    Returns:
        ``items`` and ``users``: name of the group -> metrics; ``limits``: the keys that define the groups; ``spread``: cut-off
        -> see :func:`recbole_sda.metrics.groups.coverage_and_gini`. Empty if nothing was ranked.
    """
    cases, topk = ranking.cases, config["topk"]
    if not len(cases.rank):
        return {}
    metrics: Dict[str, Any] = {
        "items": item_groups(cases, counts.items, topk, config["tail_items"]),
        "users": user_groups(cases, counts.users, topk, config["short_users"]),
        "limits": {"tail_items": config["tail_items"], "short_users": config["short_users"]},
    }
    if ranking.recommended and config["eval_args"]["mode"][phase] == "full":
        metrics["spread"] = {
            f"@{k}": coverage_and_gini(times, counts.items) for k, times in ranking.recommended.items()
        }
    return metrics


def write_ranks(path: Path, ranking: Ranking, counts: Counts, config: Any, dataset: Any) -> None:
    """Write a Parquet file with a row for each pair of an evaluated list and a right item.

    Columns: ``row`` (number of the list), ``user_id`` and ``item_id`` (external), ``rank`` (from 1), ``popularity`` and
    ``history`` (training interactions of the item and of the user), ``tail`` and ``short`` (groups by the run's limits).

    Args:
        path: the file.
        ranking: ranking of the evaluation.
        counts: interactions of each user and item in the training part.
        config: configuration of the run, with ``tail_items`` and ``short_users``.
        dataset: RecBole's data set, for the external ids.
    """
    cases = ranking.cases
    users, items = (np.asarray(dataset.field2id_token[field]) for field in (dataset.uid_field, dataset.iid_field))
    table = pd.DataFrame(
        {
            "row": cases.row.astype(np.int32),
            "user_id": pd.Categorical(users[cases.user].astype(str)),
            "item_id": pd.Categorical(items[cases.item].astype(str)),
            "rank": cases.rank.astype(np.int32),
            "popularity": counts.items[cases.item].astype(np.int32),
            "history": counts.users[cases.user].astype(np.int32),
            "tail": tail_items(counts.items, config["tail_items"])[cases.item],
            "short": short_users(cases, counts.users, config["short_users"]),
        }
    )
    with atomic_write(path) as draft:
        table.to_parquet(draft, index=False, compression="zstd")
