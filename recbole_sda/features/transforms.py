"""Transforms of a feature store's vectors, fitted on all its items: centring, L2 normalisation, PCA and whitening.

The transformed vectors are called a view. A view is a list of steps, applied in order to the items that have the
modality:

    center          subtract the mean over the items
    l2              divide each row by its L2 norm
    pca:64          the 64 leading principal components
    whiten:64       the same, each scaled to unit variance
    zca             ZCA whitening: unit covariance along the axes of the vectors, whose number it keeps
    zca:4           the same within each of 4 groups of adjacent values (WhitenRec+)
    recpca:64:0.5   64 components that also bring items together which users share in the training data (rec_pca.py)

Results are cached in the store under a key that contains everything they depend on: the hash of the vectors, the
modality, the steps, the co-occurrence graph of ``recpca``, and the versions of this package, Python, scikit-learn, scipy
and numpy.
"""

import hashlib
import json
from typing import Dict, Optional, Sequence

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.features.manifest import library_versions
from recbole_sda.features.rec_pca import graph_sha256
from recbole_sda.features.steps import fit, parse_steps
from recbole_sda.features.store import FeatureStore
from recbole_sda.io.cache import load_or_compute
from recbole_sda.io.names import safe_name

__all__ = ["parse_steps", "uses_graph", "view", "view_of_others"]


def uses_graph(steps: Sequence[str]) -> bool:
    """Return whether a step needs the co-occurrence of items in a run's training data."""
    return any(step.name == "recpca" for step in parse_steps(steps))


def view(
    store: FeatureStore,
    modality: str,
    steps: Sequence[str],
    cache: bool = True,
    graph: Optional[sp.csr_matrix] = None,
) -> Tensor:
    """Return the transformed vectors of a modality, (n_items, dim), float32; rows of missing items are zero.

    Args:
        store: the store.
        modality: one of its modalities.
        steps: see the module; an empty list returns the stored vectors.
        cache: whether the result is read from and written to the store's directory.
        graph: co-occurrence of the store's items, (n_items, n_items), from
            :func:`~recbole_sda.features.rec_pca.cooccurrence_of_rows`; only ``recpca`` uses it.

    Raises:
        InputError: a step is malformed, asks for more components than the vectors have, or lacks its graph.

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
        x, among = _present_rows(store.matrix(modality), present), _present_graph(graph, present)
        for step in parsed:
            x, _ = fit(step, x, f"{store.path}, modality {modality!r}", among)
        return {"view": _all_rows(x, present)}

    if not cache:
        return compute()["view"]
    key = {
        "features": store.features_sha256,
        "modality": modality,
        "steps": [str(step) for step in parsed],
        "graph": graph_sha256(graph) if graph is not None and uses_graph(steps) else None,
        "versions": library_versions("scikit-learn", "scipy", "numpy"),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = store.path / "views" / f"{safe_name('modality', modality)}-{digest}.safetensors"
    return load_or_compute(path, compute, {"key": json.dumps(key)})["view"]


def view_of_others(
    store: FeatureStore,
    others: FeatureStore,
    modality: str,
    steps: Sequence[str],
    graph: Optional[sp.csr_matrix] = None,
) -> Tensor:
    """Return the vectors of another store's items under transforms that are fitted on ``store``.

    New items are thus represented in the space of the items that a model was trained on.

    Args:
        store: the store on which the steps are fitted.
        others: the store of the other items.
        modality: a modality of both stores.
        steps: see the module.
        graph: co-occurrence of the items of ``store``, see :func:`view`.

    Returns:
        (n_other_items, dim), float32; rows of missing items are zero.

    Raises:
        InputError: the vectors of the two stores have different widths, or see :func:`view`.
    """
    x, y = store.matrix(modality), others.matrix(modality)
    if x.shape[1] != y.shape[1]:
        raise InputError(f"{others.path}: {modality} has {y.shape[1]} values, but {x.shape[1]} in {store.path}")
    trained, present = store.present(modality), others.present(modality)
    fitted, rows = _present_rows(x, trained), _present_rows(y, present)
    among = _present_graph(graph, trained)
    for step in parse_steps(steps):
        fitted, transform = fit(step, fitted, f"{store.path}, modality {modality!r}", among)
        rows = transform(rows)
    return _all_rows(rows, present)


def _present_rows(matrix: Tensor, present: Tensor) -> np.ndarray:
    """Return a copy of the rows of the items that have a modality, (n_present, dim), float32."""
    return matrix[present].float().numpy()


def _present_graph(graph: Optional[sp.csr_matrix], present: Tensor) -> Optional[sp.csr_matrix]:
    """Return the graph among the items that have a modality, (n_present, n_present)."""
    return None if graph is None else graph[present.numpy()][:, present.numpy()]


def _all_rows(rows: np.ndarray, present: Tensor) -> Tensor:
    """Return the rows of present items among zeros for the others, (n_items, dim), float32."""
    matrix = torch.zeros(len(present), rows.shape[1])
    matrix[present] = torch.from_numpy(np.ascontiguousarray(rows)).float()
    return matrix
