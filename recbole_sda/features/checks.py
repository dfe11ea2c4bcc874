"""What a feature store refuses, on writing as on reading: ids that are not unique, wrong shapes, values not finite."""

from typing import List, Sequence

import torch
from torch import Tensor

from recbole_sda.errors import InputError

DTYPES = {torch.float16: "float16", torch.float32: "float32"}


def check_ids(item_ids: Sequence[str], where: str) -> List[str]:
    """Return the ids as strings; ``where`` names the file in the error."""
    ids = [str(token) for token in item_ids]
    bad = next((token for token in ids if not token or token.splitlines() != [token]), None)
    if bad is not None:
        raise InputError(f"{where}: item id {bad!r} is empty or holds a line break")
    if len(set(ids)) < len(ids):
        seen: set = set()
        twice = next(token for token in ids if token in seen or seen.add(token))  # type: ignore[func-returns-value]
        raise InputError(f"{where}: item id {twice!r} stands there more than once; ids must be unique")
    return ids


def check_matrix(where: str, name: str, matrix: Tensor, present: Tensor, n_items: int) -> None:
    """Refuse a modality's matrix (n_items, dim) and mask (n_items,) that do not fit the ids or each other."""
    if matrix.dim() != 2 or matrix.shape[1] == 0 or matrix.dtype not in DTYPES:
        kind = f"{str(matrix.dtype).removeprefix('torch.')} {tuple(matrix.shape)}"
        raise InputError(f"{where}: modality {name!r} must be float16 or float32 (n_items, dim), got {kind}")
    if len(matrix) != n_items or present.shape != (n_items,):
        raise InputError(
            f"{where}: modality {name!r} has {len(matrix)} rows and a mask of {len(present)} for {n_items} item ids"
        )
    if not present.any():
        raise InputError(f"{where}: modality {name!r} is empty: no item has it; leave it out of the store")
    finite = torch.isfinite(matrix).all(dim=1)
    if not finite.all():
        row = int((~finite).nonzero()[0])
        raise InputError(
            f"{where}: modality {name!r} has NaN or infinite values in {int((~finite).sum())} rows, first {row}"
        )
