"""Residual k-means: a short code of discrete values for each vector, level by level (residual quantisation).

Level 1 clusters the vectors. Each further level clusters what the levels before leave, the vectors minus their centroids. Similar
vectors share the codes of the first levels. Such codes are the semantic ids of generative recommenders (TIGER, arXiv 2305.05065)
and can give similar items shared rows of an item table.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.features.manifest import library_versions
from recbole_sda.io.cache import load_or_compute
from recbole_sda.validation import AT_LEAST_ONE

BLOCK_ROWS = 8192  # vectors whose distances to the centroids are in memory at once


@dataclass(frozen=True)
class ResidualCodes:
    """Codes of vectors and what they were made with.

    Attributes:
        codes: cluster of each vector at each level, (n, n_levels), int64; at level l in [0, size_l).
        centroids: of each level, (size_l, dim), float32. The sum of a vector's centroids approximates it.
        errors: mean squared L2 distance between the vectors and the sums of their centroids of the levels up to each one,
            (n_levels,), float32.
    """

    codes: Tensor
    centroids: Tuple[Tensor, ...]
    errors: Tensor

    def encode(self, vectors: Tensor) -> Tensor:
        """Return the codes of other vectors, by the nearest centroid at each level, (n_others, n_levels), int64.

        Args:
            vectors: (n_others, dim).

        Raises:
            InputError: the vectors have another width than the centroids, or values that are not finite.
        """
        residual, dim = _checked(vectors), self.centroids[0].shape[1]
        if residual.shape[1] != dim:
            raise InputError(
                f"residual codes: vectors have {residual.shape[1]} values, but {dim} where they were fitted"
            )
        codes = []
        for table in self.centroids:
            chosen, residual = _assign(residual, table.double().numpy())
            codes.append(chosen)
        return torch.from_numpy(np.stack(codes, axis=1))


def residual_codes(vectors: Tensor, sizes: Sequence[int], seed: int) -> ResidualCodes:
    """Fit residual k-means and return the codes of the vectors.

    The same seed gives the same result, whatever the number of threads and the order of the vectors. Equal vectors have equal
    codes. The computation is in float64, in about three copies of the vectors.

    Args:
        vectors: (n, dim); leave out the items that have none.
        sizes: number of clusters of each level, >= 1.
        seed: of the draw of initial centroids.

    Raises:
        InputError: there is no level, a size is below 1 or above the number of distinct vectors that are left to cluster, or a
            vector has values that are not finite.

    Example:
        >>> vectors = torch.tensor([[0.0, 0.0], [0.0, 1.0], [9.0, 0.0], [9.0, 1.0]])
        >>> result = residual_codes(vectors, [2, 2], seed=0)
        >>> (result.codes[0] == result.codes[1]).tolist(), (result.codes[0] == result.codes[2]).tolist()
        ([True, False], [False, True])
        >>> result.errors.tolist()
        [0.25, 0.0]
        >>> torch.equal(result.encode(torch.tensor([[8.0, 0.1]])), result.codes[2:3])
        True
    """
    levels = [
        int(AT_LEAST_ONE.check(f"size of level {level}", size, whole=True)) for level, size in enumerate(sizes, 1)
    ]
    if not levels:
        raise InputError(f"residual codes: no level in sizes={list(sizes)}")
    residual, inverse, counts = np.unique(_checked(vectors), axis=0, return_inverse=True, return_counts=True)
    codes, centroids, errors = [], [], []
    for level, size in enumerate(levels, 1):
        _check_size(residual, level, size)
        table = _k_means(residual, counts, size, seed)
        chosen, residual = _assign(residual, table.astype(np.float64))
        codes.append(chosen)
        centroids.append(torch.from_numpy(table))
        errors.append(float(counts @ np.square(residual).sum(axis=1) / counts.sum()))
    return ResidualCodes(
        torch.from_numpy(np.stack(codes, axis=1)[inverse]), tuple(centroids), torch.tensor(errors, dtype=torch.float32)
    )


def cached_residual_codes(folder: Optional[Path], vectors: Tensor, sizes: Sequence[int], seed: int) -> ResidualCodes:
    """Return :func:`residual_codes`, cached in a file of ``folder``; None does not cache.

    The name of the file holds a hash of the vectors, the sizes, the seed and the versions of the libraries.
    """
    if folder is None:
        return residual_codes(vectors, sizes, seed)
    key = {"sizes": list(sizes), "seed": seed, "shape": list(vectors.shape), "dtype": str(vectors.dtype), "format": 1}
    key["versions"] = library_versions("scikit-learn", "numpy")
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode())
    digest.update(vectors.contiguous().flatten().numpy().data)
    path = Path(folder) / f"codes-{digest.hexdigest()[:16]}.safetensors"

    def compute() -> Dict[str, Tensor]:
        result = residual_codes(vectors, sizes, seed)
        tables = {f"centroids.{level}": table for level, table in enumerate(result.centroids)}
        return {"codes": result.codes, "errors": result.errors, **tables}

    tensors = load_or_compute(path, compute)
    centroids = tuple(tensors[f"centroids.{level}"] for level in range(len(sizes)))
    return ResidualCodes(tensors["codes"], centroids, tensors["errors"])


def _checked(vectors: Tensor) -> np.ndarray:
    """Return the vectors as float64; refuse values that are not finite."""
    x = vectors.double().numpy()
    wrong = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(wrong):
        raise InputError(f"residual codes: vector {wrong[0]} has values that are not finite")
    return x


def _check_size(residual: np.ndarray, level: int, size: int) -> None:
    """Refuse more clusters than distinct rows."""
    n = len(np.unique(residual, axis=0))
    if size > n:
        kind = "vector" if level == 1 else "residual"
        raise InputError(
            f"residual codes: level {level} has size {size}, but there {'is' if n == 1 else 'are'} only {n} distinct "
            f"{kind}{'' if n == 1 else 's'}"
        )


def _k_means(x: np.ndarray, weight: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Return the centroids of a weighted k-means, (size, dim), float32.

    One thread: with several, scikit-learn adds up in an order that differs between calls.
    """
    with threadpool_limits(1):
        fitted = KMeans(size, n_init=1, random_state=seed).fit(x, sample_weight=weight)
    centroids: np.ndarray = fitted.cluster_centers_.astype(np.float32)
    return centroids


def _assign(x: np.ndarray, centroids: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Return the nearest centroid of each row, (n,), int64, the first of equally near ones; and the rows minus it."""
    squared = np.square(centroids).sum(axis=1)
    nearest: List[np.ndarray] = []
    for start in range(0, len(x), BLOCK_ROWS):
        nearest.append((squared - 2 * (x[start : start + BLOCK_ROWS] @ centroids.T)).argmin(axis=1))
    chosen = np.concatenate(nearest) if nearest else np.zeros(0, dtype=np.int64)
    return chosen, x - centroids[chosen]
