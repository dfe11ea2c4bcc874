"""Which items of a data set are cold by the key ``cold_items``: a share of them, or those first seen from some time on."""

from typing import Any

import numpy as np

from recbole_sda.config.split_checks import is_share, time_point
from recbole_sda.errors import InputError


def cold_items(config: Any, dataset: Any) -> np.ndarray:
    """Return which items are cold by ``cold_items``, (n_items,), bool; row 0 is padding, which is not.

    A share is drawn from the items with an interaction, by ``cold_items_seed`` and the items' tokens alone: neither the order of
    the file nor the seed of the training matters.

    Args:
        config: configuration of the run.
        dataset: RecBole's data set before it is split.

    Raises:
        InputError: no item is cold, or all are.
    """
    asked = config["cold_items"]
    cold = np.zeros(dataset.item_num, dtype=bool)
    if asked is None:
        return cold
    items = np.asarray(dataset.inter_feat[dataset.iid_field])
    if is_share(asked):
        used = np.unique(items)
        tokens = np.asarray(dataset.field2id_token[dataset.iid_field])[used].astype(str)
        used = used[np.argsort(tokens, kind="stable")]
        rng = np.random.default_rng(int(config["cold_items_seed"]))
        cold[rng.permutation(used)[: max(1, round(asked * len(used)))]] = True
    else:
        first = np.full(dataset.item_num, np.inf)
        np.minimum.at(first, items, np.asarray(dataset.inter_feat[dataset.time_field], dtype=np.float64))
        cold = np.isfinite(first) & (first >= time_point("cold_items", asked))
    n_used = len(np.unique(items))
    if not cold.any() or cold.sum() == n_used:
        raise InputError(f"cold_items={asked!r}: makes {'all' if cold.any() else 'none'} of the {n_used} items cold")
    return cold
