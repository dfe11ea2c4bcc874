"""Graphs of items that are nearest neighbours by their features: built in blocks, cached by a hash of their inputs.

The time of an exact search grows with the square of the catalogue, that of an approximate one (``neighbour_search: faiss``) with
its power of 1.5.
"""

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence, Tuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional as F

from recbole_sda.graphs.ann import PROBED, RECALL_QUERIES, AnnIndex
from recbole_sda.io.cache import load_or_compute

logger = logging.getLogger(__name__)

BLOCK, SIMILARITIES = 1024, 2**26  # largest number of rows, and of similarities (256 MiB), in memory at a time
SEARCHES = ("exact", "faiss")
ANNOUNCED_AFTER = 5.0  # seconds of an exact search, after which one that takes longer than the following is announced
ANNOUNCED_FROM = 60.0


_TAKES_LONG = (
    "the neighbours of %s items among %s take about %.0f min, once; --neighbour_search=faiss is approximate and faster"
)


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


def nearest_neighbours(
    x: Tensor, present: Tensor, k: int, block: Optional[int] = None, search: str = "exact"
) -> Neighbours:
    """Return the ``k`` nearest items by cosine similarity, among the items that have the modality.

    Memory in addition to the result: the unit-norm vectors in float32, and ``block`` rows of n_present similarities.

    Args:
        x: features, (n_items, dim).
        present: (n_items,), bool; an item without the modality has no neighbours and is no item's neighbour.
        k: number of neighbours of an item, including itself; fewer if fewer items have the modality.
        block: rows at a time; None: as many as :data:`SIMILARITIES` allows, at most :data:`BLOCK`.
        search: ``exact``, or ``faiss``: of the lists of an inverted file that are nearest to an item alone
            (:class:`~recbole_sda.graphs.ann.AnnIndex`); its recall is logged.

    Raises:
        InputError: ``search`` is faiss, which is missing.
    """
    items = present.nonzero().squeeze(1)
    unit = F.normalize(x[items].float(), dim=1)
    index, similarity = (
        _nearest(unit, unit, k, block, announce=True) if search == "exact" else _nearest_by_lists(unit, k)
    )
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


def _nearest(
    queries: Tensor, among: Tensor, k: int, block: Optional[int], announce: bool = False
) -> Tuple[Tensor, Tensor]:
    """Return the positions in ``among`` (n, dim) of the k largest products with each query (n_queries, dim), and the products."""
    block = block or min(BLOCK, max(1, SIMILARITIES // max(len(among), 1)))
    k = min(k, len(among))
    index, similarity = torch.empty(len(queries), k, dtype=torch.long), torch.empty(len(queries), k)
    started = time.monotonic()
    for start in range(0, len(queries), block):
        end = start + block
        similarity[start:end], index[start:end] = (queries[start:end] @ among.T).topk(k, dim=1)
        passed = time.monotonic() - started
        if announce and passed > ANNOUNCED_AFTER:
            announce, expected = False, passed * len(queries) / end
            if expected > ANNOUNCED_FROM:
                logger.info(_TAKES_LONG, f"{len(queries):,}", f"{len(among):,}", expected / 60)
    return index, similarity


def _nearest_by_lists(unit: Tensor, k: int) -> Tuple[Tensor, Tensor]:
    """Return :func:`_nearest` of the rows among themselves as faiss finds them; exactly, for a row of which it finds fewer."""
    k = min(k, len(unit))
    if k == 0:
        return torch.empty(len(unit), 0, dtype=torch.long), torch.empty(len(unit), 0)
    among = AnnIndex(unit.numpy())
    recall = among.recall(unit[:: max(1, len(unit) // RECALL_QUERIES)].numpy(), k)
    logger.info(
        "nearest neighbours of %s items by %s: recall@%d %.3f of exact search", f"{len(unit):,}", among, k, recall
    )
    index, similarity = (torch.from_numpy(found) for found in among.search(unit.numpy(), k))
    few = (index < 0).any(dim=1)
    index[few], similarity[few] = _nearest(unit[few], unit, k, None)
    return index, similarity


def cached_neighbours(folder: Optional[Path], x: Tensor, present: Tensor, k: int, search: str = "exact") -> Neighbours:
    """Return :func:`nearest_neighbours`, cached in a file of ``folder``; None does not cache.

    The name of the file holds a hash of the features, of ``present``, k, the search and the metric.
    """
    if folder is None:
        return nearest_neighbours(x, present, k, search=search)
    what = {"k": k, "metric": "cosine", "shape": list(x.shape), "format": 1}
    if search != "exact":
        what["search"] = [search, PROBED]
    digest = hashlib.sha256(json.dumps(what).encode())
    digest.update(x.flatten().numpy().data)
    digest.update(present.numpy().data)
    path = Path(folder) / f"neighbours-{digest.hexdigest()[:16]}.safetensors"
    return Neighbours(**load_or_compute(path, lambda: vars(nearest_neighbours(x, present, k, search=search))))


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
