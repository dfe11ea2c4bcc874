"""Where pictures and texts of the same items lie, before and after the item encoder: a plane and a number."""

from typing import List, NamedTuple, Optional

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from recbole_sda.engine import run as runs
from recbole_sda.report.style import Figure, panels, style

N_ITEMS, N_JOINED, NEAREST = 400, 30, 10


class Space(NamedTuple):
    """Vectors of some items that have all modalities.

    Attributes:
        names: of the modalities.
        before: features as they enter the encoder, each (n, d_m), L2-normalised.
        after: what the encoder makes of each modality, each (n, dim), L2-normalised.
    """

    names: List[str]
    before: List[np.ndarray]
    after: List[np.ndarray]


def read_space(run_dir) -> Optional[Space]:
    """Return the vectors of a run's items; None where the model has fewer than two modalities."""
    run = runs.load(run_dir)
    items = getattr(run.model, "items", None)
    if items is None or items.encoder is None or items.n_modalities < 2:
        return None
    ids = torch.arange(1, items.n_items, device=items.present.device)
    ids = ids[items.frozen_features(ids)[1].all(dim=0)]
    chosen = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))[:N_ITEMS].to(ids.device)]
    features, present = items.frozen_features(chosen)
    with torch.no_grad():
        after = items.encoder.eval().project(features, present)
    return Space(
        list(run.model.modality_names),
        [normalize(x.cpu().numpy()) for x in features],
        [normalize(z.cpu().numpy()) for z in after],
    )


def found_share(x: np.ndarray, y: np.ndarray, k: int = NEAREST) -> float:
    """Return the share of items of whose row in x the own row in y is among the k nearest by cosine."""
    similar = normalize(x) @ normalize(y).T
    return float(((similar >= similar.diagonal()[:, None]).sum(axis=1) <= k).mean())


def space_figure(space: Space, title: str) -> Figure:
    """Both sides in two principal directions: each modality in its own plane before, the first two in one plane after."""
    n = len(space.names)
    figure, axes = panels(n + 1, width=3.8, height=3.6, columns=n + 1)
    for k, (axis, name, x) in enumerate(zip(axes, space.names, space.before)):
        axis.scatter(*PCA(2, svd_solver="full").fit_transform(x).T, **_dots(k))
        axis.set_title(f"{name} before", fontsize=10)
    both = PCA(2, svd_solver="full").fit_transform(np.concatenate(space.after))
    parts = np.split(both, n)
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


def _dots(k: int) -> dict:
    shape = style(k)
    return {"color": shape["color"], "marker": shape["marker"], "s": 9, "alpha": 0.6, "linewidths": 0}
