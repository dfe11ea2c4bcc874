"""Group metrics of a run: from the ranks of its last evaluation and the counts of its training part."""

from pathlib import Path
from typing import Any, Dict

import numpy as np
import pandas as pd

from recbole_sda.data.datasets import Counts
from recbole_sda.engine.collector import Ranking
from recbole_sda.metrics.groups import coverage_and_gini, item_groups, short_users, tail_items, user_groups

RANKS = "ranks-{phase}.parquet"


def group_metrics(ranking: Ranking, counts: Counts, config, phase: str) -> Dict[str, Any]:
    """Return the metrics of an evaluation by groups of items and users, and the spread of full-sort recommendations.

    Args:
        ranking: of the evaluation.
        counts: of the training part, see :class:`recbole_sda.data.datasets.Data`.
        config: of the run: topk, tail_items, short_users.
        phase: ``valid`` or ``test``.
    """
    cases, topk = ranking.cases, config["topk"]
    if not len(cases.rank):
        return {}
    found: Dict[str, Any] = {
        "items": item_groups(cases, counts.items, topk, config["tail_items"]),
        "users": user_groups(cases, counts.users, topk, config["short_users"]),
        "limits": {"tail_items": config["tail_items"], "short_users": config["short_users"]},
    }
    if ranking.recommended and config["eval_args"]["mode"][phase] == "full":
        found["spread"] = {f"@{k}": coverage_and_gini(times, counts.items) for k, times in ranking.recommended.items()}
    return found


def write_ranks(path: Path, ranking: Ranking, counts: Counts, config, dataset) -> None:
    """Write a line per case of an evaluation.

    Columns: ``row`` (list of the evaluation), ``user_id`` and ``item_id`` (external), ``rank`` (from 1), ``popularity`` and
    ``history`` (training interactions of the item and the user), ``tail`` and ``short`` (groups under the run's limits).
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
    table.to_parquet(path, index=False, compression="zstd")
