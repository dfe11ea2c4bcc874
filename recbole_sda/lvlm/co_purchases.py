"""Co-purchase counts: how many users bought both of two items, from the training part of an interaction file."""

from pathlib import Path
from typing import Sequence, Union

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.io.atomic_table import read_atomic
from recbole_sda.io.ids import id_text

N_EVALUATION = 2  # last interactions of each user: validation and test of a leave-one-out split


def count_co_purchases(path: Union[str, Path], ids: Sequence[str]) -> sp.csr_matrix:
    """Return the number of users who bought both items, (n_items, n_items), symmetric with a zero diagonal.

    Args:
        path: RecBole atomic file with user, item and timestamp. The last two interactions of each user are left out: they
            are validation and test data of a leave-one-out split.
        ids: item tokens, in the order of rows and columns; interactions with other items are ignored.

    Raises:
        InputError: the file or a column is missing, a timestamp is not a number, or the file holds none of the items.
    """
    table = read_atomic(path, "interactions file")
    for name in ("user_id", "item_id", "timestamp"):
        if name not in table:
            raise InputError(
                f"interactions={path}: column {name} is missing; the columns are {', '.join(table.columns)}"
            )
    times = pd.to_numeric(table["timestamp"], errors="coerce")
    wrong = np.flatnonzero(~np.isfinite(times))
    if len(wrong):
        found = table["timestamp"][wrong[0]]
        raise InputError(f"interactions={path}, line {wrong[0] + 2}: timestamp {found!r} is not a number")
    table["timestamp"] = times
    table = table.sort_values(["user_id", "timestamp"], kind="stable")
    from_end = table.groupby("user_id").cumcount(ascending=False)
    table = table[(from_end >= N_EVALUATION).to_numpy()]
    column = pd.Index(ids).get_indexer(table["item_id"].map(id_text))
    user = pd.factorize(table["user_id"])[0]
    in_ids = column >= 0
    if not in_ids.any():
        raise InputError(f"interactions={path}: the training part holds none of the items")
    bought = sp.csr_matrix((np.ones(in_ids.sum()), (user[in_ids], column[in_ids])), shape=(user.max() + 1, len(ids)))
    bought.data[:] = 1.0
    counts = (bought.T @ bought).tocsr()
    counts.setdiag(0)
    counts.eliminate_zeros()
    return counts


def co_purchases_among(counts: sp.csr_matrix, chosen: np.ndarray) -> Tensor:
    """Return the co-purchase counts between the chosen items, (n_chosen, n_chosen), float32."""
    return torch.from_numpy(counts[chosen][:, chosen].toarray().astype(np.float32))
