"""What is in a feature store, in numbers that tell whether it can be trusted."""

from typing import List, NamedTuple

import numpy as np
import torch

from recbole_sda.features.store import FeatureStore

SAMPLE = 20_000  # rows, at most, of which the spectrum is taken


class ModalityReport(NamedTuple):
    """Figures of one modality, over the items that have it.

    ``effective_rank`` is exp of the entropy of the normalised singular values of the centred matrix (Roy and Vetterli,
    2007): how many directions the vectors really use. ``mean_cosine`` near 1 says that all vectors point the same way.
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
    """Return a report for each modality of a store; the spectrum is taken on at most 20,000 rows drawn by ``seed``."""
    reports = []
    for name in store.modalities:
        x = store.matrix(name)[store.present(name)]
        norms = x.float().norm(dim=1).numpy()
        duplicates = len(x) - len(np.unique(x.numpy(), axis=0))
        chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:SAMPLE]
        rows = x[chosen].double()
        unit = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
        n = len(unit)
        cosine = float((unit.sum(0).square().sum() - unit.square().sum()) / max(n * (n - 1), 1))
        reports.append(
            ModalityReport(
                modality=name,
                present=len(x),
                mean_cosine=cosine,
                effective_rank=effective_rank(rows),
                duplicate_rows=duplicates,
                norm_mean=float(norms.mean()),
                norm_std=float(norms.std()),
                norm_min=float(norms.min()),
                norm_max=float(norms.max()),
                **{key: store.counts[name][key] for key in ("dim", "dtype", "missing")},
            )
        )
    return reports


def effective_rank(x: torch.Tensor) -> float:
    """Return exp of the entropy of the normalised singular values of the centred rows of x (n, dim)."""
    values = torch.linalg.svdvals(x - x.mean(dim=0))
    share = values / values.sum().clamp(min=1e-300)
    return float(torch.special.entr(share).sum().exp())
