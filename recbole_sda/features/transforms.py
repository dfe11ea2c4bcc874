"""Derived views of a feature store: centring, L2 normalisation, PCA and whitening, fitted on the whole catalogue.

A view is a list of steps, applied in order to the items that have the modality:

    center        subtract the catalogue's mean
    l2            divide each row by its L2 norm
    pca:64        the 64 leading principal components
    whiten:64     the same, each scaled to unit variance

Results are cached in the store under a key that holds everything they depend on: the hash of the vectors, the
modality, the steps, and the versions of this package, Python, scikit-learn and numpy.
"""

import hashlib
import json
from typing import Callable, List, Sequence, Tuple

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore, library_versions
from recbole_sda.io.cache import load_or_compute

PLAIN_STEPS, SIZED_STEPS = ("center", "l2"), ("pca", "whiten")


def parse_steps(steps: Sequence[str]) -> List[Tuple[str, int]]:
    """Return the steps as (name, size) with size 0 for the plain ones; a malformed step is an InputError."""
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


Step = Callable[[np.ndarray], np.ndarray]


def _rows(matrix: Tensor, present: Tensor) -> np.ndarray:
    """Return a copy of the rows of a modality that are there, (n, dim), float32."""
    return matrix[present].float().numpy()


def _fit(name: str, size: int, x: np.ndarray, where: str) -> Tuple[np.ndarray, Step]:
    """Return a step's result on the catalogue, made in place where it can be, and the step for further rows."""
    if name == "center":
        mean = x.mean(axis=0, dtype=np.float64).astype(x.dtype)
        return np.subtract(x, mean, out=x), lambda rows: rows - mean
    if name == "l2":
        return normalize(x, copy=False), normalize
    if size > min(x.shape):
        raise InputError(
            f"{where}: {name}:{size} asks for more components than {x.shape[0]} items x {x.shape[1]} values give"
        )
    pca = PCA(size, whiten=name == "whiten", svd_solver="full")
    return pca.fit_transform(x.astype(np.float64)), pca.transform


def view(store: FeatureStore, modality: str, steps: Sequence[str], cache: bool = True) -> Tensor:
    """Return a view of a modality, (n_items, dim), float32; rows of items that lack the modality are zero.

    Args:
        store: the store.
        modality: one of its modalities.
        steps: see the module; an empty list gives the vectors as they are.
        cache: whether the result is read from and kept in the store's directory.
    """
    parsed = parse_steps(steps)
    if not parsed:
        return store.matrix(modality).float()
    key = {
        "features": store.features_sha256,
        "modality": modality,
        "steps": [list(step) for step in parsed],
        "versions": library_versions("scikit-learn", "numpy"),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = store.path / "views" / f"{modality}-{digest}.safetensors"

    def make():
        present = store.present(modality)
        x = _rows(store.matrix(modality), present)
        for name, size in parsed:
            x, _ = _fit(name, size, x, f"{store.path}, modality {modality!r}")
        result = torch.zeros(len(present), x.shape[1])
        result[present] = torch.from_numpy(np.ascontiguousarray(x)).float()
        return {"view": result}

    return (load_or_compute(path, make, {"key": json.dumps(key)}) if cache else make())["view"]


def view_of_others(store: FeatureStore, others: FeatureStore, modality: str, steps: Sequence[str]) -> Tensor:
    """Return the view of another store's items, fitted on ``store``, (n_other_items, dim), float32; missing rows are zero.

    So items that came later lie in the space of those that a model was trained on.

    Raises:
        InputError: the two stores' vectors have different widths.
    """
    x, y = store.matrix(modality), others.matrix(modality)
    if x.shape[1] != y.shape[1]:
        raise InputError(f"{others.path}: {modality} has {y.shape[1]} values, but {x.shape[1]} in {store.path}")
    there, present = store.present(modality), others.present(modality)
    fitted, rows = _rows(x, there), _rows(y, present)
    for name, size in parse_steps(steps):
        fitted, step = _fit(name, size, fitted, f"{store.path}, modality {modality!r}")
        rows = step(rows)
    result = torch.zeros(len(present), fitted.shape[1])
    result[present] = torch.from_numpy(np.ascontiguousarray(rows)).float()
    return result
