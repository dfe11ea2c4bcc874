"""Approximate search in a matrix of items, by faiss: the only module that imports it."""

import logging
from typing import Any

import numpy as np
import torch

from recbole_sda.errors import InputError

PROBED = 64  # lists that a query is compared with, of 4 sqrt(n_items)
RECALL_AT, RECALL_QUERIES = 10, 200


class AnnIndex:
    """Items by inner product from an inverted file (``IndexIVFFlat``): a query reads the items of the nearest lists alone.

    Args:
        items: one row per item, (n_items, dim), float32.
        probed: lists that a query reads; more are slower and find more.

    Raises:
        InputError: faiss is missing.

    Example:
        >>> pytest = __import__("pytest").importorskip("faiss")
        >>> items = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
        >>> index = AnnIndex(items, probed=500)
        >>> index.search(items[:2], 3)[0].shape, index.recall(items[:50])
        ((2, 3), 1.0)
    """

    def __init__(self, items: np.ndarray, probed: int = PROBED):
        logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it tells which builds it tries
        try:
            import faiss
        except ModuleNotFoundError:
            raise InputError("approximate search needs faiss: pip install -e '.[ann]'") from None
        faiss.omp_set_num_threads(torch.get_num_threads())  # the key ``threads``
        self.items = np.ascontiguousarray(items)
        dim = items.shape[1]
        lists = max(
            1, min(round(4 * len(items) ** 0.5), len(items) // 39)
        )  # faiss wants 39 items of each list to find it
        self._quantizer = faiss.IndexFlatIP(dim)
        self._index: Any = faiss.IndexIVFFlat(self._quantizer, dim, lists, faiss.METRIC_INNER_PRODUCT)
        self._index.cp.min_points_per_centroid = 1  # no warning of faiss about fewer than 39 items
        self._index.train(self.items)
        self._index.add(self.items)
        self._index.nprobe = min(probed, lists)

    def search(self, queries: np.ndarray, k: int) -> Any:
        """Return rows of items, -1 where fewer than k were found, and their inner products, each (n_queries, k), best first."""
        scores, rows = self._index.search(np.ascontiguousarray(queries), k)
        return rows, scores

    def recall(self, queries: np.ndarray, k: int = RECALL_AT) -> float:
        """Return the share of the k exact best items that the search finds."""
        k = min(k, len(self.items))
        found, _ = self.search(queries, k)
        exact = (np.argpartition(-(self.items @ query), k - 1)[:k] for query in queries)  # one row in memory at a time
        return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(exact, found)]))

    def __str__(self) -> str:
        return f"faiss, {self._index.nprobe} of {self._index.nlist} lists"
