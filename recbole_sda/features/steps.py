"""The steps of a view: their names and numbers, and how each is fitted on vectors and applied to others."""

from math import isfinite
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from recbole_sda.errors import InputError
from recbole_sda.features.rec_pca import rec_pca_axes

N_NUMBERS = {"center": (0,), "l2": (0,), "pca": (1,), "whiten": (1,), "zca": (0, 1), "recpca": (2,)}
ALLOWED = "center, l2, pca:D, whiten:D, zca, zca:G and recpca:D:GAMMA, with D >= 1, G >= 1 and GAMMA >= 0"
# Directions with a smaller variance, relative to the largest one, hold rounding errors of float32 and not data.
MIN_RELATIVE_VARIANCE = 1e-10

Transform = Callable[[np.ndarray], np.ndarray]


class Step(NamedTuple):
    """A parsed step.

    Attributes:
        name: a key of :data:`N_NUMBERS`.
        size: number of components (``pca``, ``whiten``, ``recpca``) or of groups (``zca``); 0 for other steps.
        gamma: weight of the interactions (``recpca``); 0 for other steps.
    """

    name: str
    size: int = 0
    gamma: float = 0.0

    def __str__(self) -> str:
        numbers = (self.size, self.gamma)[: max(N_NUMBERS[self.name])]
        return ":".join([self.name, *(str(number).removesuffix(".0") for number in numbers)])


def parse_steps(steps: Sequence[str]) -> List[Step]:
    """Return the steps with their numbers; ``zca`` is ``zca:1``.

    Raises:
        InputError: a step has another form than :data:`ALLOWED`.

    Example:
        >>> [str(step) for step in parse_steps(["l2", "zca", "recpca:64:0.5"])]
        ['l2', 'zca:1', 'recpca:64:0.5']
    """
    return [_parse(str(step)) for step in steps]


def _parse(text: str) -> Step:
    name, *numbers = text.split(":")
    size = numbers[0] if numbers else "1"
    gamma = _number(numbers[1]) if len(numbers) > 1 else 0.0
    if len(numbers) not in N_NUMBERS.get(name, ()) or not size.isdecimal() or int(size) < 1 or not gamma >= 0:
        raise InputError(f"feature_views: {text!r} is not a view; allowed are {ALLOWED}")
    return Step(name, int(size) if max(N_NUMBERS[name]) else 0, gamma)


def _number(text: str) -> float:
    """Return a finite number, or -1 for any other text."""
    try:
        number = float(text)
    except ValueError:
        return -1.0
    return number if isfinite(number) else -1.0


def fit(step: Step, x: np.ndarray, where: str, graph: Optional[sp.csr_matrix] = None) -> Tuple[np.ndarray, Transform]:
    """Fit a step on vectors.

    Args:
        step: the step.
        x: (n, dim); it may be changed in place.
        where: the origin of the vectors, for messages.
        graph: co-occurrence of the n items, which ``recpca`` needs, (n, n).

    Returns:
        The transformed x, and the fitted step for other rows.

    Raises:
        InputError: the step asks for more components or groups than x allows, or lacks its graph.
    """
    if step.name == "center":
        mean = x.mean(axis=0, dtype=np.float64).astype(x.dtype)
        return np.subtract(x, mean, out=x), lambda rows: rows - mean
    if step.name == "l2":
        return normalize(x, copy=False), normalize
    if step.name == "zca":
        transform = _fit_zca(step, x, where)
        return transform(x), transform
    if step.size > min(x.shape):
        raise InputError(f"{where}: {step} asks for more components than {x.shape[0]} items x {x.shape[1]} values")
    if step.name == "recpca":
        transform = _fit_rec_pca(step, x, where, graph)
        return transform(x), transform
    pca = PCA(step.size, whiten=step.name == "whiten", svd_solver="full")
    return pca.fit_transform(x.astype(np.float64)), pca.transform


def _fit_zca(step: Step, x: np.ndarray, where: str) -> Transform:
    """Fit ``(x_g - mean_g) C_g^-1/2`` for each of ``step.size`` groups g of adjacent values, with C_g its covariance.

    The groups' widths differ by at most one. Whitening in groups, the relaxed whitening of WhitenRec+, leaves the correlations
    between groups. A direction without variance becomes zero.
    """
    n, dim = x.shape
    if step.size > dim:
        raise InputError(f"{where}: {step} asks for more groups than {dim} values")
    width = -(-dim // step.size)
    if n <= width:
        raise InputError(f"{where}: {step} needs more than {width} items, the width of its groups, and there are {n}")
    mean = x.mean(axis=0, dtype=np.float64)
    groups = np.array_split(np.arange(dim), step.size)
    maps = [
        _inverse_root(np.cov(x[:, group], rowvar=False, dtype=np.float64).reshape(2 * group.shape)) for group in groups
    ]

    def transform(rows: np.ndarray) -> np.ndarray:
        result = np.empty_like(rows, dtype=np.float64)
        for group, root in zip(groups, maps):
            result[:, group] = (rows[:, group] - mean[group]) @ root
        return result

    return transform


def _inverse_root(covariance: np.ndarray) -> np.ndarray:
    """Return ``C^-1/2``, symmetric, and zero in the directions without variance, (dim, dim)."""
    variance, axes = np.linalg.eigh(covariance)
    kept = variance > MIN_RELATIVE_VARIANCE * variance[-1]
    return (axes[:, kept] / np.sqrt(variance[kept])) @ axes[:, kept].T


def _fit_rec_pca(step: Step, x: np.ndarray, where: str, graph: Optional[sp.csr_matrix]) -> Transform:
    """Fit ``(x - mean) V`` with the axes V of :mod:`recbole_sda.features.rec_pca`."""
    if graph is None:
        raise InputError(f"{where}: {step} needs a run's training data, from which it takes the items that users share")
    if graph.nnz == 0:
        raise InputError(f"{where}: {step} needs items that share users in the training data; there are none")
    mean = x.mean(axis=0, dtype=np.float64)
    axes = rec_pca_axes(x - mean, graph, step.size, step.gamma)
    return lambda rows: (rows - mean) @ axes
