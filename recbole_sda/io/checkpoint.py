"""Checkpoints as plain data: tensors, numbers, strings and containers of them. Reading one executes no pickled code.

A run folder holds ``checkpoint/best.pt`` (the model of the best validation epoch), ``checkpoint/last.pt`` (everything
that training needs to go on) and ``item_ids.txt`` (the item token of each internal item id).
"""

import hashlib
import pickle
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from recbole_sda.errors import InputError, one_line
from recbole_sda.io.atomic_write import atomic_write, write_lines
from recbole_sda.io.content_hash import content_hash
from recbole_sda.io.regular_file import PathLike, read_text, regular_file
from recbole_sda.io.schema import Shape, check_shape

BEST, LAST, ITEM_IDS = Path("checkpoint/best.pt"), Path("checkpoint/last.pt"), Path("item_ids.txt")
TRAINING = "training interactions"  # of an identity
HASH = "content_hash"  # of the rest of a checkpoint
_SPARSE, _ARRAY = "__scipy_sparse__", "__numpy_array__"


def to_plain(value: Any, name: str = "value") -> Any:
    """Return ``value`` as plain data: numpy arrays and scipy matrices become marked tensors, modules are left out.

    The weights of modules are part of the state dict.

    Raises:
        TypeError: ``value`` holds something else; ``name`` says where.
    """
    if isinstance(value, np.generic):  # first: np.float64 is a float, and pickled as numpy's own
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str, torch.Tensor)):
        return value
    if isinstance(value, np.ndarray):
        return {_ARRAY: torch.from_numpy(np.ascontiguousarray(np.asarray(value)))}
    if sp.issparse(value):
        csr = value.tocsr()
        parts = [torch.from_numpy(np.ascontiguousarray(part)) for part in (csr.data, csr.indices, csr.indptr)]
        return {_SPARSE: parts, "shape": list(csr.shape)}
    if isinstance(value, dict):
        return {k: to_plain(v, f"{name}[{k!r}]") for k, v in value.items() if not isinstance(v, nn.Module)}
    if isinstance(value, (list, tuple)):
        return [to_plain(v, f"{name}[{k}]") for k, v in enumerate(value)]
    raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint of plain data cannot hold")


def from_plain(value: Any, device: Any = "cpu") -> Any:
    """Undo :func:`to_plain`: restore numpy arrays and scipy matrices, and move tensors to ``device``."""
    if isinstance(value, dict):
        if _SPARSE in value:
            return sp.csr_matrix(tuple(part.numpy() for part in value[_SPARSE]), shape=tuple(value["shape"]))
        if _ARRAY in value:
            return value[_ARRAY].numpy()
        return {k: from_plain(v, device) for k, v in value.items()}
    if isinstance(value, list):
        return [from_plain(v, device) for v in value]
    return value.to(device) if isinstance(value, torch.Tensor) else value


def save_checkpoint(path: PathLike, state: Dict[str, Any]) -> None:
    """Write a checkpoint of plain data atomically."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft:
        plain = to_plain(state, path.name)
        torch.save({**plain, HASH: content_hash(plain)}, draft)


def load_checkpoint(path: PathLike, shape: Shape = dict) -> Dict[str, Any]:
    """Read a checkpoint that :func:`save_checkpoint` wrote. All tensors are on the CPU, where random states belong.

    Args:
        path: of the file.
        shape: keys and types that it must have, see :func:`recbole_sda.io.schema.check_shape`.

    Raises:
        InputError: the file is missing, damaged, has another shape, or holds pickled objects (as RecBole's own checkpoints do).
    """
    path = regular_file(path, "checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            changed = archive.testzip()  # torch writes the checksums and does not compare them
        if changed is not None:
            raise InputError(f"{path} is damaged: {changed} in it is not what was written")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except pickle.UnpicklingError:
        raise InputError(
            f"{path} is not a checkpoint of this project: it holds pickled objects, which are not loaded"
        ) from None
    except Exception as error:  # zipfile, pickle and torch raise errors of any kind for damaged files
        raise InputError(f"{path} is damaged: {one_line(error)}") from None
    check_shape(state, dict, str(path))
    noted = state.pop(HASH, None)  # earlier versions noted none
    if noted is not None and noted != content_hash(state):
        raise InputError(f"{path} was changed after it was written: its values are not those of its hash")
    check_shape(state, shape, str(path))
    return dict(state)


def data_identity(training: Any) -> Dict[str, str]:
    """Return hashes that tie weights to data: of user and item tokens by row, and of the interactions of the training part."""
    fields, found = (training.uid_field, training.iid_field), {}
    for what, field in zip(("users", "items"), fields):
        tokens = "\n".join(map(str, training.field2id_token[field]))
        found[what] = hashlib.sha256(tokens.encode()).hexdigest()
    users, items = (np.asarray(training.inter_feat[field], dtype=np.int64) for field in fields)
    order = np.argsort(users, kind="stable")  # user by user, each in the order of the data
    return {**found, TRAINING: hashlib.sha256(np.stack([users[order], items[order]]).tobytes()).hexdigest()}


def write_item_tokens(run_dir: PathLike, tokens: Sequence[str]) -> None:
    """Write the item token of each internal id of a run; position 0 is the padding item."""
    write_lines(Path(run_dir) / ITEM_IDS, (f"{token}\n" for token in tokens))


def read_item_tokens(run_dir: PathLike) -> List[str]:
    """Return the item token of each internal id of a run; position 0 is the padding item."""
    path = Path(run_dir) / ITEM_IDS
    if not path.is_file():
        raise InputError(f"{run_dir} is not a run folder: {ITEM_IDS} is missing")
    return read_text(path, limit=None).split("\n")[:-1]
