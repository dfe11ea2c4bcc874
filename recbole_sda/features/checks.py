"""Conditions on the content of a feature store, checked on writing and on reading: unique ids, shapes, finite values."""

from collections import Counter
from typing import Any, Dict, Iterable, List, Sequence

import torch
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.io.ids import ids_of

DTYPES = {torch.float16: "float16", torch.float32: "float32"}


def check_ids(item_ids: Sequence[Any], where: str) -> List[str]:
    """Return the item ids in the form of :func:`recbole_sda.io.ids.id_of`.

    Args:
        item_ids: external item tokens.
        where: the file or directory that error messages name.

    Raises:
        InputError: a value is no id, or an id occurs more than once.
    """
    if isinstance(item_ids, (str, bytes)) or not isinstance(item_ids, Iterable):
        raise InputError(f"{where}: item ids: expected a list, found a {type(item_ids).__name__}")
    ids = ids_of(item_ids, where)
    if len(set(ids)) < len(ids):
        repeated = next(token for token, count in Counter(ids).items() if count > 1)
        raise InputError(f"{where}: item id {repeated!r} occurs more than once; ids must be unique")
    return ids


def check_matrix(where: str, name: str, matrix: Tensor, present: Tensor, n_items: int) -> None:
    """Check the vectors of a modality and their mask against each other and against the number of item ids.

    Args:
        where: the file or directory that error messages name.
        name: of the modality.
        matrix: vectors, (n_items, dim).
        present: mask of the items that have the modality, (n_items,).
        n_items: number of item ids.

    Raises:
        InputError: the dtype or a shape is wrong, no item has the modality, or a value is NaN or infinite.
    """
    if matrix.dim() != 2 or matrix.shape[1] == 0 or matrix.dtype not in DTYPES:
        kind = f"{str(matrix.dtype).removeprefix('torch.')} {tuple(matrix.shape)}"
        raise InputError(f"{where}: modality {name!r} must be float16 or float32 (n_items, dim), got {kind}")
    if len(matrix) != n_items or present.shape != (n_items,) or present.dtype != torch.bool:
        mask = f"{str(present.dtype).removeprefix('torch.')} {tuple(present.shape)}"
        raise InputError(f"{where}: modality {name!r} has {len(matrix)} rows and a mask {mask} for {n_items} item ids")
    if not present.any():
        raise InputError(f"{where}: modality {name!r} is empty: no item has it; leave it out of the store")
    finite = torch.isfinite(matrix).all(dim=1)
    if not finite.all():
        row = int((~finite).nonzero()[0])
        raise InputError(
            f"{where}: modality {name!r} has NaN or infinite values in {int((~finite).sum())} rows, first {row}"
        )


def counts_of(matrix: Tensor, present: Tensor) -> Dict[str, Any]:
    """Return what a manifest has about a modality: its width, dtype and numbers of items with and without it."""
    n_present = int(present.sum())
    missing = len(present) - n_present
    return {"dim": matrix.shape[1], "dtype": DTYPES[matrix.dtype], "present": n_present, "missing": missing}


def check_counts(where: str, noted: Dict[str, Any], found: Dict[str, Any]) -> None:
    """Compare what a manifest has about a modality with the tensors; a difference is an InputError."""
    for key, value in found.items():
        if noted[key] != value:
            raise InputError(f"{where}: {key}={noted[key]!r}, but the tensors have {value!r}")
