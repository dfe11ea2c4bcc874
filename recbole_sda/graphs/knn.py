"""Graphs of items that are nearest neighbours by their features: built in blocks, cached by a hash of their inputs."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence, Tuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional as F

from recbole_sda.io.cache import load_or_compute

BLOCK, SIMILARITIES = 1024, 2**26  # largest number of rows, and of similarities (256 MiB), in memory at a time


@dataclass(frozen=True)
class Neighbours:
    """The k nearest items of each item that has the modality. They include the item itself, unless more than k items equal it.

    Attributes:
        items: the items that have the modality, (n_present,), int64.
        index: their neighbours, nearest first, (n_present, k), int64.
        similarity: cosine similarity, (n_present, k), float32.
    """

    items: Tensor
    index: Tensor
    similarity: Tensor


def nearest_neighbours(x: Tensor, present: Tensor, k: int, block: Optional[int] = None) -> Neighbours:
    """Return the ``k`` nearest items by cosine similarity, among the items that have the modality.

    Memory in addition to the result: the unit-norm vectors in float32, and ``block`` rows of n_present similarities.

    Args:
        x: features, (n_items, dim).
        present: (n_items,), bool; an item without the modality has no neighbours and is no item's neighbour.
        k: number of neighbours of an item, including itself; fewer if fewer items have the modality.
        block: rows at a time; None: as many as :data:`SIMILARITIES` allows, at most :data:`BLOCK`.
    """
    items = present.nonzero().squeeze(1)
    unit = F.normalize(x[items].float(), dim=1)
    index, similarity = _nearest(unit, unit, k, block)
    return Neighbours(items, items[index], similarity)


def nearest_among(
    queries: Tensor, x: Tensor, present: Tensor, k: int, block: Optional[int] = None
) -> Tuple[Tensor, Tensor]:
    """Return the ``k`` items whose features are nearest to each query, and their cosine similarities, nearest first.

    Args:
        queries: (n_queries, dim).
        x, present, block: see :func:`nearest_neighbours`.
        k: number of items of a query; fewer if fewer items have the modality.

    Returns:
        Item ids, (n_queries, k), int64, and similarities, (n_queries, k), float32.

    Example:
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
        >>> items, similarity = nearest_among(torch.tensor([[2.0, 0.0]]), x, torch.tensor([False, True, True]), k=2)
        >>> items.tolist(), similarity.tolist()
        ([[1, 2]], [[1.0, 0.0]])
    """
    items = present.nonzero().squeeze(1)
    index, similarity = _nearest(F.normalize(queries.float(), dim=1), F.normalize(x[items].float(), dim=1), k, block)
    return items[index], similarity


def _nearest(queries: Tensor, among: Tensor, k: int, block: Optional[int]) -> Tuple[Tensor, Tensor]:
    """Return the positions in ``among`` (n, dim) of the k largest products with each query (n_queries, dim), and the products."""
    block = block or min(BLOCK, max(1, SIMILARITIES // max(len(among), 1)))
    k = min(k, len(among))
    blocks = [(queries[start : start + block] @ among.T).topk(k, dim=1) for start in range(0, len(queries), block)]
    if not blocks:
        return torch.empty(0, k, dtype=torch.long), torch.empty(0, k)
    similarity, index = (torch.cat(parts) for parts in zip(*blocks))
    return index, similarity


def cached_neighbours(folder: Optional[Path], x: Tensor, present: Tensor, k: int) -> Neighbours:
    """Return :func:`nearest_neighbours`, cached in a file of ``folder``; None does not cache.

    The name of the file holds a hash of the features, of ``present``, k and the metric.
    """
    if folder is None:
        return nearest_neighbours(x, present, k)
    digest = hashlib.sha256(json.dumps({"k": k, "metric": "cosine", "shape": list(x.shape), "format": 1}).encode())
    digest.update(x.flatten().numpy().data)
    digest.update(present.numpy().data)
    path = Path(folder) / f"neighbours-{digest.hexdigest()[:16]}.safetensors"
    return Neighbours(**load_or_compute(path, lambda: vars(nearest_neighbours(x, present, k))))


def item_graph(neighbours: Neighbours, n_items: int, weighted: bool) -> sp.csr_matrix:
    """Return ``D^-1/2 S D^-1/2`` of the neighbour matrix S, (n_items, n_items), with D the row sums of S.

    Args:
        neighbours: the neighbours of each item.
        n_items: number of items including the padding item 0.
        weighted: whether the entries of S are the similarities, with 0 for negative ones; else they are 1.
    """
    k = neighbours.index.shape[1]
    rows = neighbours.items.repeat_interleave(k).numpy()
    values = neighbours.similarity.clamp(min=0).flatten().double().numpy() if weighted else np.ones(len(rows))
    matrix = sp.csr_matrix((values, (rows, neighbours.index.flatten().numpy())), shape=(n_items, n_items))
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    scale = sp.diags(np.where(sums > 0, np.maximum(sums, 1e-12) ** -0.5, 0.0))
    return (scale @ matrix @ scale).tocsr()


def elementwise_max(graphs: Sequence[sp.csr_matrix]) -> sp.csr_matrix:
    """Return the elementwise maximum of the graphs."""
    result = graphs[0]
    for graph in graphs[1:]:
        result = result.maximum(graph)
    return result


def weighted_sum(graphs: Sequence[sp.csr_matrix], weights: Sequence[float]) -> sp.csr_matrix:
    """Return the weighted sum of the graphs."""
    return sum(weight * graph for weight, graph in zip(weights, graphs)).tocsr()
