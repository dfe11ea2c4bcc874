"""Transforms of a feature store's vectors: centring, L2 normalisation, PCA and whitening, fitted on all its items.

The transformed vectors are called a view. A view is a list of steps, applied in order to the items that have the
modality:

    center        subtract the mean over the items
    l2            divide each row by its L2 norm
    pca:64        the 64 leading principal components
    whiten:64     the same, each scaled to unit variance

Results are cached in the store under a key that contains everything they depend on: the hash of the vectors, the
modality, the steps, and the versions of this package, Python, scikit-learn and numpy.
"""

import hashlib
import json
from typing import Callable, Dict, List, Sequence, Tuple

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.features.manifest import library_versions
from recbole_sda.features.store import FeatureStore
from recbole_sda.io.cache import load_or_compute

PLAIN_STEPS, SIZED_STEPS = ("center", "l2"), ("pca", "whiten")

Step = Callable[[np.ndarray], np.ndarray]


def parse_steps(steps: Sequence[str]) -> List[Tuple[str, int]]:
    """Return the steps as (name, size), with size 0 for those without one.

    Raises:
        InputError: a step is not one of center, l2, pca:D and whiten:D with D >= 1.
    """
    parsed = []
    for step in steps:
        name, _, size = str(step).partition(":")
        if name in PLAIN_STEPS and not size:
            parsed.append((name, 0))
        elif name in SIZED_STEPS and size.isdecimal() and int(size) > 0:
            parsed.append((name, int(size)))
        else:
            raise InputError(
                f"feature_views: {step!r} is not a view; allowed are center, l2, pca:D and whiten:D, D >= 1"
            )
    return parsed


def view(store: FeatureStore, modality: str, steps: Sequence[str], cache: bool = True) -> Tensor:
    """Return the transformed vectors of a modality, (n_items, dim), float32; rows of missing items are zero.

    Args:
        store: the store.
        modality: one of its modalities.
        steps: see the module; an empty list returns the stored vectors.
        cache: whether the result is read from and written to the store's directory.

    Raises:
        InputError: a step is malformed, or asks for more components than the vectors have.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from recbole_sda.features.store import FeatureStore, write_store
        >>> from recbole_sda.features.transforms import view
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     vectors = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
        ...     store = FeatureStore(write_store(f"{folder}/mine", ["a", "b", "c"], {"text": vectors}))
        ...     centred = view(store, "text", ["center"])
        >>> centred.tolist()
        [[-2.0, -2.0], [0.0, 0.0], [2.0, 2.0]]
    """
    parsed = parse_steps(steps)
    if not parsed:
        return store.matrix(modality).float()

    def compute() -> Dict[str, Tensor]:
        present = store.present(modality)
        x = _present_rows(store.matrix(modality), present)
        for name, size in parsed:
            x, _ = _fit(name, size, x, f"{store.path}, modality {modality!r}")
        return {"view": _all_rows(x, present)}

    if not cache:
        return compute()["view"]
    key = {
        "features": store.features_sha256,
        "modality": modality,
        "steps": [list(step) for step in parsed],
        "versions": library_versions("scikit-learn", "numpy"),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = store.path / "views" / f"{modality}-{digest}.safetensors"
    return load_or_compute(path, compute, {"key": json.dumps(key)})["view"]


def view_of_others(store: FeatureStore, others: FeatureStore, modality: str, steps: Sequence[str]) -> Tensor:
    """Return the vectors of another store's items under transforms that are fitted on ``store``.

    New items are thus represented in the space of the items that a model was trained on.

    Args:
        store: the store on which the steps are fitted.
        others: the store of the other items.
        modality: a modality of both stores.
        steps: see the module.

    Returns:
        (n_other_items, dim), float32; rows of missing items are zero.

    Raises:
        InputError: the vectors of the two stores have different widths, or see :func:`view`.
    """
    x, y = store.matrix(modality), others.matrix(modality)
    if x.shape[1] != y.shape[1]:
        raise InputError(f"{others.path}: {modality} has {y.shape[1]} values, but {x.shape[1]} in {store.path}")
    present = others.present(modality)
    fitted, rows = _present_rows(x, store.present(modality)), _present_rows(y, present)
    for name, size in parse_steps(steps):
        fitted, step = _fit(name, size, fitted, f"{store.path}, modality {modality!r}")
        rows = step(rows)
    return _all_rows(rows, present)


def _present_rows(matrix: Tensor, present: Tensor) -> np.ndarray:
    """Return a copy of the rows of the items that have a modality, (n_present, dim), float32."""
    return matrix[present].float().numpy()


def _all_rows(rows: np.ndarray, present: Tensor) -> Tensor:
    """Return the rows of present items among zeros for the others, (n_items, dim), float32."""
    matrix = torch.zeros(len(present), rows.shape[1])
    matrix[present] = torch.from_numpy(np.ascontiguousarray(rows)).float()
    return matrix


def _fit(name: str, size: int, x: np.ndarray, where: str) -> Tuple[np.ndarray, Step]:
    """Fit a step on x; return the transformed x, computed in place where possible, and the fitted step for other rows."""
    if name == "center":
        mean = x.mean(axis=0, dtype=np.float64).astype(x.dtype)
        return np.subtract(x, mean, out=x), lambda rows: rows - mean
    if name == "l2":
        return normalize(x, copy=False), normalize
    if size > min(x.shape):
        raise InputError(
            f"{where}: {name}:{size} asks for more components than {x.shape[0]} items x {x.shape[1]} values"
        )
    pca = PCA(size, whiten=name == "whiten", svd_solver="full")
    return pca.fit_transform(x.astype(np.float64)), pca.transform
