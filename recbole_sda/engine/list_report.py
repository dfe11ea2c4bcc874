"""Metrics of a run's top-k lists that need no right items (key ``list_metrics``): the data that they need, and their values."""

import logging
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

import numpy as np
import scipy.sparse as sp

from recbole_sda.config.run_config import columns_of
from recbole_sda.engine.collector import Ranking
from recbole_sda.engine.run import Run
from recbole_sda.errors import InputError, nearest
from recbole_sda.features.item_vectors import store_and_modality, unit_vectors
from recbole_sda.io.atomic_table import read_atomic
from recbole_sda.io.ids import id_text
from recbole_sda.metrics.groups import tail_items
from recbole_sda.metrics.list_quality import category_shares, diversities, miscalibration, popularity_metrics
from recbole_sda.model.item_features import item_tokens
from recbole_sda.model.known_items import training_pairs

logger = logging.getLogger(__name__)


class ListData(NamedTuple):
    """What the metrics of lists need.

    Attributes:
        vectors: unit vectors of the items, (n_items, dim), for ``diversity``.
        shares: share of each category in each item, (n_items, n_categories), for ``calibration``.
        history: how often each user has each item in the training part, (n_users, n_items), likewise.
        sources: where the vectors and the categories come from.
    """

    vectors: Optional[np.ndarray]
    shares: Optional[sp.csr_matrix]
    history: Optional[sp.csr_matrix]
    sources: Dict[str, str]


def list_data(run: Run) -> Optional[ListData]:
    """Return what the key ``list_metrics`` needs; None where it is empty.

    Raises:
        InputError: the data set has no such store, modality or column.
    """
    config, names = run.config, run.config["list_metrics"]
    if not names:
        return None
    if not any(config["eval_args"]["mode"][phase] == "full" for phase in ("valid", "test")):
        logger.warning("list_metrics: not measured, because no part is evaluated by full sort")
        return None
    dataset, sources = run.data.dataset, {}
    vectors = shares = history = None
    if "diversity" in names:
        store, modality = store_and_modality(config["data_path"], config["list_features"])
        vectors = unit_vectors(store, modality, item_tokens(dataset)).numpy()
        sources["diversity"] = f"{store.path.name}/{modality}"
    if "calibration" in names:
        shares = category_shares(_categories(config, item_tokens(dataset)))
        users, items = training_pairs(run.data.train._dataset)
        history = sp.csr_matrix((np.ones(len(users)), (users, items)), shape=(dataset.user_num, dataset.item_num))
        sources["calibration"] = config["list_categories"]
    return ListData(vectors, shares, history, sources)


def list_report(run: Run, data: Optional[ListData], rankings: Dict[str, Optional[Ranking]]) -> Dict[str, Any]:
    """Return the metrics of the lists of each phase, as ``{"test": {"arp@10": ...}}``, and the ``sources`` of their data.

    A phase that is not evaluated by full sort has none. A metric that no list has a value of is left out.
    """
    if data is None:
        return {}
    report: Dict[str, Any] = {"sources": data.sources} if data.sources else {}
    for phase, ranking in rankings.items():
        if ranking is not None and ranking.lists is not None and run.config["eval_args"]["mode"][phase] == "full":
            report[phase] = _values(run, data, ranking.lists.items, ranking.lists.users)
    return report


def _values(run: Run, data: ListData, lists: np.ndarray, users: np.ndarray) -> Dict[str, float]:
    config, popularity = run.config, run.data.counts.items
    tail = tail_items(popularity, config["tail_items"])
    by_cutoff: List[Dict[str, float]] = []
    for k in config["topk"]:
        top = lists[:, :k]
        found = popularity_metrics(top, popularity, tail, run.data.dataset.user_num - 1)
        per_list: Dict[str, np.ndarray] = {}
        if data.vectors is not None:
            per_list["diversity"] = diversities(top, data.vectors)
        if data.shares is not None and data.history is not None:
            per_list["calibration"] = miscalibration(top, users, data.history, data.shares)
        found |= {name: float(np.nanmean(values)) for name, values in per_list.items() if np.isfinite(values).any()}
        by_cutoff.append(found)
    decimals = config["metric_decimal_place"]
    return {
        f"{name}@{k}": round(found[name], decimals)
        for name in config["list_metrics"]
        for k, found in zip(config["topk"], by_cutoff)
        if name in found
    }


def _categories(config: Any, tokens: List[str]) -> List[List[str]]:
    """Return the categories of each item, from the column ``list_categories`` of the data set's item file."""
    column = config["list_categories"]
    path = Path(config["data_path"]) / f"{config['dataset']}.item"
    table = read_atomic(path, "item file")
    id_column = config["ITEM_ID_FIELD"]
    for name in (id_column, column):
        if name not in table.columns:
            raise InputError(
                f"{path} has no column {name!r}; it has {', '.join(table.columns)}.{nearest(name, table.columns)}"
            )
    kind = columns_of(path, config["field_separator"], config["encoding"]).get(column, "")
    separator = config["seq_separator"] if kind.endswith("_seq") else None
    of_item = {
        id_text(token): [word for word in (text.split(separator) if separator else [text]) if word]
        for token, text in zip(table[id_column], table[column])
    }
    found: List[List[str]] = [[], *(of_item.get(id_text(token), []) for token in tokens[1:])]
    if not any(found):
        raise InputError(f"list_categories={column}: no item of the data set has a value in this column of {path}")
    return found
