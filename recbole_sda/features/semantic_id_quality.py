"""Figures of residual codes that show whether they can be semantic ids: collisions, use of the codes, error, neighbours kept."""

from typing import Any, Dict, List

import numpy as np
import torch
from torch import Tensor

from recbole_sda.features.codes import ResidualCodes
from recbole_sda.graphs.knn import nearest_among

NEIGHBOURS, SAMPLE = 10, 2000  # nearest neighbours of an item, and items whose neighbours are looked at


def code_quality(vectors: Tensor, fitted: ResidualCodes, seed: int = 0) -> Dict[str, Any]:
    """Return figures of the codes of vectors.

    Args:
        vectors: (n, dim), those that the codes were fitted on.
        fitted: the codes.
        seed: of the draw of at most 2,000 items whose 10 nearest neighbours (cosine) are looked at.

    Returns:
        ``distinct``: number of distinct codes. ``collision_rate``: 1 - distinct / n. ``unique``: share of the items with codes
        that no other item has. ``largest_group``: items of the most frequent codes. ``levels``: for each level ``entropy`` of the
        codes in bits, ``perplexity`` (2 to the power of it), ``unused`` codes, ``error`` (mean squared distance to the sum of the
        centroids up to the level, relative to the one to the mean vector), ``neighbours`` (share of nearest neighbours with the
        same codes up to the level) and ``chance`` (the same share of random pairs).

    Example:
        >>> from recbole_sda.features.codes import residual_codes
        >>> vectors = torch.tensor([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [-1.0, 0.1]])
        >>> quality = code_quality(vectors, residual_codes(vectors, [2], seed=0))
        >>> quality["distinct"], quality["collision_rate"], quality["unique"], quality["largest_group"]
        (2, 0.5, 0.0, 2)
        >>> quality["levels"][0]["perplexity"], quality["levels"][0]["unused"]
        (2.0, 0)
    """
    codes, n = fitted.codes.numpy(), len(vectors)
    _, counts = np.unique(codes, axis=0, return_counts=True)
    spread = (vectors.double() - vectors.double().mean(dim=0)).square().sum(dim=1).mean().clamp(min=1e-300)
    kept = _neighbours_kept(vectors, fitted.codes, seed)
    levels: List[Dict[str, Any]] = []
    for level, table in enumerate(fitted.centroids):
        used = np.bincount(codes[:, level], minlength=len(table))
        share = used[used > 0] / n
        entropy = max(0.0, float(-(share * np.log2(share)).sum()))
        _, group = np.unique(codes[:, : level + 1], axis=0, return_counts=True)
        levels.append(
            {
                "entropy": round(entropy, 4),
                "perplexity": round(2**entropy, 2),
                "unused": int((used == 0).sum()),
                "error": round(float(fitted.errors[level] / spread), 4),
                "neighbours": kept[level],
                "chance": round(float((group * (group - 1.0)).sum() / max(n * (n - 1), 1)), 6),
            }
        )
    return {
        "distinct": len(counts),
        "collision_rate": round(1 - len(counts) / n, 6),
        "unique": round(float((counts == 1).sum() / n), 6),
        "largest_group": int(counts.max()),
        "levels": levels,
    }


def _neighbours_kept(vectors: Tensor, codes: Tensor, seed: int) -> List[float]:
    """Return, for each level, the share of nearest neighbours that have an item's codes up to this level."""
    sample = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(seed))[:SAMPLE]
    everyone = torch.ones(len(vectors), dtype=torch.bool)
    index, _ = nearest_among(vectors[sample], vectors, everyone, NEIGHBOURS + 1)
    other = index != sample[:, None]
    same = (codes[index] == codes[sample][:, None]).cumprod(dim=2).bool()
    n_others = max(int(other.sum()), 1)
    return [round(float((same[:, :, level] & other).sum()) / n_others, 4) for level in range(codes.shape[1])]
