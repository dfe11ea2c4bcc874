"""Positions of the images and texts of the same items before and after the item encoder: a projection and a recall."""

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Union

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from recbole_sda.engine import run as runs
from recbole_sda.report.style import Figure, panels, style

N_ITEMS, N_JOINED, NEAREST = 400, 30, 10


class EmbeddingSpace(NamedTuple):
    """Vectors of a sample of items that have all modalities.

    Attributes:
        names: names of the modalities.
        before: the features that enter the encoder, one (n, d_m) per modality, L2-normalised.
        after: the encoder's output per modality before fusion, each (n, dim), L2-normalised.
    """

    names: List[str]
    before: List[np.ndarray]
    after: List[np.ndarray]


def read_space(run_dir: Union[str, Path]) -> Optional[EmbeddingSpace]:
    """Return the vectors of at most 400 items of a run; None where its model encodes fewer than two modalities."""
    model: Any = runs.load(run_dir).model
    items = getattr(model, "items", None)
    if items is None or items.encoder is None or items.n_modalities < 2:
        return None
    ids = torch.arange(1, items.n_items, device=items.present.device)
    ids = ids[items.frozen_features(ids)[1].all(dim=0)]
    chosen = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))[:N_ITEMS].to(ids.device)]
    features, present = items.frozen_features(chosen)
    with torch.no_grad():
        after = items.encoder.eval().project(features, present)
    return EmbeddingSpace(
        list(model.modality_names),
        [normalize(x.cpu().numpy()) for x in features],
        [normalize(z.cpu().numpy()) for z in after],
    )


def cross_modal_recall(x: np.ndarray, y: np.ndarray, k: int = NEAREST) -> float:
    """Return Recall@k of finding an item's vector in one modality by its vector in another one.

    Args:
        x: query vectors, (n, dim).
        y: vectors of the same items in the other modality, (n, dim).
        k: number of nearest vectors by cosine. Vectors of equal cosine count as nearer.

    Example:
        >>> x = np.eye(4) + 0.01
        >>> cross_modal_recall(x, x, k=1), cross_modal_recall(x, np.roll(x, 1, axis=0), k=1)
        (1.0, 0.0)
    """
    similarity = normalize(x) @ normalize(y).T
    return float(((similarity >= similarity.diagonal()[:, None]).sum(axis=1) <= k).mean())


def space_figure(space: EmbeddingSpace, title: str, columns: Optional[int] = None) -> Figure:
    """Plot the first two principal components: of each modality alone before the encoder, of all together after it.

    ``columns`` is the number of panels side by side; None: all.
    """
    n = len(space.names)
    figure, axes = panels(n + 1, width=3.8, height=3.6, columns=columns or n + 1)
    for k, (axis, name, x) in enumerate(zip(axes, space.names, space.before)):
        axis.scatter(*PCA(2, svd_solver="full").fit_transform(x).T, **_dots(k))
        axis.set_title(f"{name} before", fontsize=10)
    projected = PCA(2, svd_solver="full").fit_transform(np.concatenate(space.after))
    parts = np.split(projected, n)
    for k, (name, points) in enumerate(zip(space.names, parts)):
        axes[-1].scatter(*points.T, label=name, **_dots(k))
    for a, b in list(zip(parts[0], parts[1]))[:N_JOINED]:
        axes[-1].plot(*np.stack([a, b]).T, color="black", linewidth=0.5)
    axes[-1].set_title(f"after; lines join {N_JOINED} items", fontsize=10)
    axes[-1].legend(frameon=False, fontsize=8)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize=11)
    return figure


def _dots(k: int) -> Dict[str, Any]:
    line = style(k)
    return {"color": line["color"], "marker": line["marker"], "s": 9, "alpha": 0.6, "linewidths": 0}
