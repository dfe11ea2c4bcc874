"""Writing a feature store: the content is checked, then the whole directory appears under its name atomically."""

import json
import logging
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from recbole_sda.errors import InputError, one_line
from recbole_sda.features.checks import check_ids, check_matrix, counts_of
from recbole_sda.features.manifest import FEATURES, ITEM_IDS, MANIFEST, SCHEMA_VERSION, library_versions
from recbole_sda.features.store_choice import keep_default
from recbole_sda.io.atomic_folder import atomic_folder, restore_folder
from recbole_sda.io.atomic_write import use_default_permissions, write_lines, write_text
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.json import plain_texts

logger = logging.getLogger(__name__)

Array = Union[np.ndarray, Tensor]


def write_store(
    path: Union[str, Path],
    item_ids: Sequence[str],
    features: Mapping[str, Array],
    present: Optional[Mapping[str, Array]] = None,
    provenance: Optional[Mapping[str, Any]] = None,
    overwrite: bool = False,
) -> Path:
    """Write a feature store atomically and return its path. The first store of a data set becomes its default.

    Args:
        path: the directory of the store.
        item_ids: external item tokens, in row order; unique.
        features: per modality a float16 or float32 matrix (n_items, dim).
        present: per modality a bool mask (n_items,) of the items that have it. A modality without a mask is present
            for all items. Rows of missing items are written as zeros. An item whose vector is all zeros, while other
            items' vectors are not, counts as missing.
        provenance: further keys of the manifest, such as ``encoder`` (a name, or an object with ``model``), ``prompt``,
            ``pooling`` and ``image_budget``; any values that plain JSON can represent.
        overwrite: whether an existing store is replaced.

    Raises:
        InputError: ids are not unique, shapes disagree, values are not finite, a modality is empty or its name is not
            a plain word, or the store exists already.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from recbole_sda.features.store import FeatureStore, write_store
        >>> vectors = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)
        >>> has_text = np.array([True, False, True])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = FeatureStore(write_store(f"{folder}/mine", ["a", "b", "c"], {"text": vectors}, {"text": has_text}))
        >>> store.counts["text"]
        {'dim': 2, 'dtype': 'float32', 'present': 2, 'missing': 1}
    """
    path = Path(path)
    check_target(path, overwrite)
    ids = check_ids(item_ids, str(path))
    if not isinstance(features, Mapping) or not features:
        raise InputError(f"{path}: expected modalities with their vectors, at least one modality")
    if not set(present or {}) <= set(features):
        raise InputError(
            f"{path}: present: masks of {', '.join(map(str, present or ()))} for {', '.join(map(str, features))}"
        )
    tensors: Dict[str, Tensor] = {}
    counts = {}
    for name, values in features.items():
        matrix, mask = _checked_modality(path, name, values, (present or {}).get(name), len(ids))
        tensors |= {name: (matrix * mask.unsqueeze(-1)).contiguous(), f"{name}.present": mask.contiguous()}
        counts[name] = counts_of(matrix, mask)
    with atomic_folder(path) as draft:
        _write_files(draft, ids, tensors, {**(provenance or {}), "n_items": len(ids), "modalities": counts})
    keep_default(path)
    return path


def check_target(path: Path, overwrite: bool) -> None:
    """Refuse a path that exists, unless it is to be overwritten and is a store or an empty directory."""
    restore_folder(path)
    if not path.exists():
        return
    if not overwrite:
        raise InputError(f"{path} exists already; remove it, choose another name, or overwrite it (--overwrite)")
    if not (path / MANIFEST).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path} is not a feature store ({MANIFEST} is missing), so it is not overwritten")


def _checked_modality(
    path: Path, name: str, values: Array, present: Optional[Array], n_items: int
) -> Tuple[Tensor, Tensor]:
    """Return the vectors (n_items, dim) of a modality and the mask (n_items,) of the items that have it."""
    if not isinstance(name, str) or not name.isidentifier():
        raise InputError(f"{path}: modality name {name!r} must be a plain word such as image, text or audio")
    matrix = _tensor(f"{path}: modality {name!r}", values)
    if present is None:
        mask = torch.ones(matrix.shape[:1], dtype=torch.bool)
    else:
        mask = _tensor(f"{path}: present: {name}", present).bool().clone()  # safetensors refuses a shared mask
    if matrix.dim() == 2 and mask.shape == matrix.shape[:1]:
        zero = mask & (matrix == 0).all(dim=1)  # holds no information and has no direction
        if zero.any() and not zero.equal(mask):
            logger.warning(
                "%s: %d vectors of modality %s are all zeros; these items count as missing", path, zero.sum(), name
            )
            mask = mask & ~zero
    check_matrix(str(path), name, matrix, mask, n_items)
    return matrix, mask


def _tensor(what: str, values: Any) -> Tensor:
    """Return an array as a dense tensor; an InputError where it is none of numbers."""
    try:
        tensor = torch.as_tensor(np.ascontiguousarray(values) if isinstance(values, np.ndarray) else values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{what}: expected an array of numbers, found a {type(values).__name__} ({one_line(error)})"
        ) from None
    if tensor.layout != torch.strided or tensor.is_meta or isinstance(values, np.ma.MaskedArray):
        raise InputError(f"{what}: expected a dense array; items without vectors are given by a mask, `present`")
    return tensor.detach()


def _write_files(folder: Path, ids: Sequence[str], tensors: Dict[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write the files of a store; the manifest has the keys of ``record`` besides versions and hashes."""
    save_file(tensors, folder / FEATURES)
    use_default_permissions(folder / FEATURES)
    write_lines(folder / ITEM_IDS, (f"{token}\n" for token in ids))
    manifest = {
        "schema_version": SCHEMA_VERSION,
        **record,
        "versions": library_versions("numpy", "torch", "safetensors"),
        "sha256": {name: sha256_of(folder / name) for name in (FEATURES, ITEM_IDS)},
    }
    write_text(folder / MANIFEST, json.dumps(plain_texts(manifest), indent=2) + "\n")
