"""Figures of a feature store's vectors that show whether they can be used: norms, duplicates, similarity, rank."""

from typing import List, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recbole_sda.features.store import FeatureStore

MAX_ROWS = 20_000  # of the matrix whose spectrum is computed


class ModalityReport(NamedTuple):
    """Figures of one modality, over the items that have it.

    Attributes:
        modality: its name.
        dim: width of the vectors.
        dtype: as stored, ``float16`` or ``float32``.
        present, missing: numbers of items.
        norm_mean, norm_std, norm_min, norm_max: of the vectors' L2 norms.
        mean_cosine: mean cosine similarity of two different items, in [-1, 1]; near 1, all vectors have nearly the
            same direction.
        effective_rank: exp of the entropy of the normalised singular values of the centred matrix (Roy and Vetterli,
            2007), at least 1 and at most ``dim``: how many directions the vectors vary in.
        duplicate_rows: items whose vector equals that of another item, all but one of each group.
    """

    modality: str
    dim: int
    dtype: str
    present: int
    missing: int
    norm_mean: float
    norm_std: float
    norm_min: float
    norm_max: float
    mean_cosine: float
    effective_rank: float
    duplicate_rows: int


def describe(store: FeatureStore, seed: int = 0) -> List[ModalityReport]:
    """Return a report for each modality of a store.

    ``mean_cosine`` and ``effective_rank`` are computed on at most 20,000 rows, drawn with ``seed``.
    """
    reports = []
    for name in store.modalities:
        x = store.matrix(name)[store.present(name)]
        norms = x.float().norm(dim=1).numpy()
        sample = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:MAX_ROWS]
        rows = x[sample].double()
        reports.append(
            ModalityReport(
                modality=name,
                present=len(x),
                mean_cosine=mean_cosine(rows),
                effective_rank=effective_rank(rows),
                duplicate_rows=len(x) - len(np.unique(x.numpy(), axis=0)),
                norm_mean=float(norms.mean()),
                norm_std=float(norms.std()),
                norm_min=float(norms.min()),
                norm_max=float(norms.max()),
                **{key: store.counts[name][key] for key in ("dim", "dtype", "missing")},
            )
        )
    return reports


def mean_cosine(x: Tensor) -> float:
    """Return the mean cosine similarity of two different rows of x (n, dim); 0 for a single row."""
    unit = x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
    n = len(unit)
    return float((unit.sum(0).square().sum() - unit.square().sum()) / max(n * (n - 1), 1))


def effective_rank(x: Tensor) -> float:
    """Return exp of the entropy of the normalised singular values of the centred rows of x (n, dim)."""
    values = torch.linalg.svdvals(x - x.mean(dim=0))
    share = values / values.sum().clamp(min=1e-300)
    return float(torch.special.entr(share).sum().exp())
