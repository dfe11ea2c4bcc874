"""Scores of all items and of new items, and the best of them."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recbole_sda.errors import InputError


class Best(NamedTuple):
    """The best columns of some rows of scores, the highest score first.

    Attributes:
        column: position in :attr:`Recommender.columns`, (n_rows, k), int64.
        score: (n_rows, k), float32; minus infinity where a row has fewer than k candidates.
    """

    column: np.ndarray
    score: np.ndarray


def scores_of_columns(model: Any, name: str, batch: Any, n_items: int, n_new: int) -> Tensor:
    """Return the scores of the padding item, the items and the new items, (n_rows, n_columns), float32 on the CPU.

    Args:
        model: the model, which holds the new items.
        name: its name, for messages.
        batch: what the model scores, on its device.
        n_items: number of items including the padding item.
        n_new: number of new items.

    Raises:
        InputError: the model cannot score all items, or none that it was not trained on.
    """
    try:
        scores = model.full_sort_predict(batch)
    except NotImplementedError:
        raise InputError(f"{name} scores single items only, not all items at once") from None
    scores = scores.view(len(batch), -1).float().cpu()
    first_new = scores.shape[1] - n_new
    if first_new < n_items:
        raise InputError(
            f"{name} cannot score items that it was not trained on: its graph or its layers do not include them"
        )
    # Between the items and the new items the table may have other rows, such as a mask token.
    return scores if first_new == n_items else torch.cat([scores[:, :n_items], scores[:, first_new:]], dim=1)
