"""Graphs of items that are neighbours by their features: built in blocks, cached by what they depend on."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple, Optional, Sequence

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional as F

from recbole_sda.io.cache import load_or_compute

BLOCK, SIMILARITIES = 1024, 2**26  # at most so many rows, and numbers, at a time: 256 MiB


class Neighbours(NamedTuple):
    """The k nearest items of each item that has the modality, itself among them unless more than k items equal it.

    Attributes:
        items: (n_present,), int64, which items have neighbours.
        index: (n_present, k), int64, their neighbours, nearest first.
        similarity: (n_present, k), float32, cosine.
    """

    items: Tensor
    index: Tensor
    similarity: Tensor


def nearest_neighbours(x: Tensor, present: Tensor, k: int, block: Optional[int] = None) -> Neighbours:
    """Return the ``k`` nearest items by cosine similarity, among the items that have the modality.

    Memory beside the result: the vectors at length one, in float32, and ``block`` rows of n_items similarities.

    Args:
        x: features, (n_items, dim).
        present: (n_items,), bool; an item without the modality has no neighbours and is nobody's.
        k: neighbours of an item with itself; fewer where fewer items are there.
        block: rows at a time; None: as many as :data:`SIMILARITIES` allows, at most :data:`BLOCK`.
    """
    items = present.nonzero().squeeze(1)
    block = block or min(BLOCK, max(1, SIMILARITIES // max(len(items), 1)))
    unit = F.normalize(x[items].float(), dim=1)
    k = min(k, len(items))
    found = [(unit[start : start + block] @ unit.T).topk(k, dim=1) for start in range(0, len(unit), block)]
    if not found:
        return Neighbours(items, torch.empty(0, 0, dtype=torch.long), torch.empty(0, 0))
    similarity, index = (torch.cat(parts) for parts in zip(*found))
    return Neighbours(items, items[index], similarity)


def cached_neighbours(folder: Optional[Path], x: Tensor, present: Tensor, k: int) -> Neighbours:
    """Return :func:`nearest_neighbours`, from ``folder`` where the same were found before, and kept there.

    The key holds the features themselves, which items have them, k and the metric.
    """
    if folder is None:
        return nearest_neighbours(x, present, k)
    digest = hashlib.sha256(json.dumps({"k": k, "metric": "cosine", "shape": list(x.shape), "format": 1}).encode())
    digest.update(x.flatten().numpy())
    digest.update(present.numpy())
    path = Path(folder) / f"neighbours-{digest.hexdigest()[:16]}.safetensors"
    return Neighbours(**load_or_compute(path, lambda: nearest_neighbours(x, present, k)._asdict()))


def item_graph(neighbours: Neighbours, n_items: int, weighted: bool) -> sp.csr_matrix:
    """Return ``D^-1/2 S D^-1/2`` of the neighbour matrix S, (n_items, n_items), with D the row sums of S.

    Args:
        neighbours: the neighbours of each item.
        n_items: size of the catalogue with the padding item.
        weighted: whether an entry of S is the similarity, negative ones as 0, or 1.
    """
    k = neighbours.index.shape[1]
    rows = neighbours.items.repeat_interleave(k).numpy()
    values = neighbours.similarity.clamp(min=0).flatten().double().numpy() if weighted else np.ones(len(rows))
    matrix = sp.csr_matrix((values, (rows, neighbours.index.flatten().numpy())), shape=(n_items, n_items))
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    scale = sp.diags(np.where(sums > 0, np.maximum(sums, 1e-12) ** -0.5, 0.0))
    return (scale @ matrix @ scale).tocsr()


def elementwise_max(graphs: Sequence[sp.csr_matrix]) -> sp.csr_matrix:
    """Return the largest entry of the graphs at each place."""
    found = graphs[0]
    for graph in graphs[1:]:
        found = found.maximum(graph)
    return found


def weighted_sum(graphs: Sequence[sp.csr_matrix], weights: Sequence[float]) -> sp.csr_matrix:
    """Return the sum of the graphs, each with its weight."""
    return sum(weight * graph for weight, graph in zip(weights, graphs)).tocsr()
