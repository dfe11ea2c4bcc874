"""Semantic ids: the residual codes of a store's items, and a last token that tells items of equal codes apart.

The codes are those of :mod:`recbole_sda.features.codes`, over the vectors that the id table of a run reads (key ``id_codes``).
The last token numbers the items of equal codes, as in TIGER (arXiv 2305.05065, section 3.1), from 0, in the order of the items.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.features.checks import check_ids
from recbole_sda.features.codes import cached_residual_codes
from recbole_sda.features.content import content_vectors
from recbole_sda.features.semantic_id_quality import code_quality
from recbole_sda.features.store import FeatureStore
from recbole_sda.features.transforms import uses_graph, view
from recbole_sda.io.json import read_json
from recbole_sda.io.schema import COUNT

DEFAULT_VIEWS = ("center", "l2")  # of features.yaml
SHAPE = {"sizes": [COUNT], "codes": {str: [COUNT]}}  # of the json form


@dataclass(frozen=True)
class SemanticIds:
    """Codes of items, unique by their last token.

    Attributes:
        item_ids: external ids.
        codes: cluster of each item at each level, (n_items, n_levels), int64.
        last: number among the items of equal codes, from 0, (n_items,), int64.
        has_vector: (n_items,), bool. Items without a vector have the codes of the zero vector, the mean of all items.
        sizes: number of clusters of each level.
        record: what the codes were made from, and ``quality``, see
            :func:`~recbole_sda.features.semantic_id_quality.code_quality`.
    """

    item_ids: List[str]
    codes: Tensor
    last: Tensor
    has_vector: Tensor
    sizes: Tuple[int, ...]
    record: Dict[str, Any]


def semantic_ids(
    store: FeatureStore,
    sizes: Sequence[int],
    seed: int = 0,
    modalities: Optional[Sequence[str]] = None,
    views: Sequence[str] = DEFAULT_VIEWS,
    item_ids: Optional[Sequence[str]] = None,
) -> SemanticIds:
    """Return the semantic ids of items.

    Args:
        store: the feature store.
        sizes: number of clusters of each level.
        seed: of the k-means. The same seed gives the same codes, in any order of the items.
        modalities: of the store; None: all, as one vector per item (:func:`~recbole_sda.features.content.content_vectors`).
        views: transforms of the vectors, as in the key ``feature_views``; ``recpca`` is refused, it needs the data of a run.
        item_ids: the items and their order; None: all items of the store, in its order.

    Raises:
        InputError: see :func:`~recbole_sda.features.codes.residual_codes`; or a modality, a step or an id is wrong, or no
            item has a vector.
    """
    names = store.check_modalities(modalities)
    if uses_graph(views):
        raise InputError(f"views={list(views)}: recpca needs the interactions of a run, which semantic ids do not have")
    ids = store.item_ids if item_ids is None else check_ids(item_ids, "item ids")
    aligned = store.align(["", *ids], {name: view(store, name, views) for name in names})
    vectors = content_vectors(list(aligned.matrices.values()), aligned.present)[1:]
    has_vector = aligned.present.any(dim=0)[1:]
    fitted = cached_residual_codes(store.path / "graphs", vectors[has_vector], sizes, seed)
    codes = fitted.encode(torch.zeros(1, vectors.shape[1])).repeat(len(ids), 1)
    codes[has_vector] = fitted.codes
    last = number_equal_rows(codes)
    record = {
        "store": str(store.path),
        "store_sha256": store.sha256,
        "modalities": names,
        "views": list(views),
        "seed": seed,
        "sizes": list(sizes),
        "items": len(ids),
        "items_without_vector": int((~has_vector).sum()),
        "last_token_values": int(last.max()) + 1,
        "quality": code_quality(vectors[has_vector], fitted, seed),
    }
    return SemanticIds(list(ids), codes, last, has_vector, tuple(sizes), record)


def number_equal_rows(codes: Tensor) -> Tensor:
    """Return the number of each row among the rows that equal it, from 0 in their order, (n,), int64.

    Example:
        >>> number_equal_rows(torch.tensor([[7, 1], [2, 2], [7, 1], [7, 1]])).tolist()
        [0, 0, 1, 2]
    """
    _, group = np.unique(codes.numpy(), axis=0, return_inverse=True)
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(group[order]) > 0])
    number = np.empty(len(codes), dtype=np.int64)
    number[order] = np.arange(len(codes)) - np.repeat(first, np.diff(np.r_[first, len(codes)]))
    return torch.from_numpy(number)


def read_codes(path: Union[str, Path]) -> Tuple[Tuple[int, ...], Dict[str, List[int]]]:
    """Return the sizes of the levels and the codes of each item, without the last token, from a file of the json form.

    Raises:
        InputError: the file is missing or damaged, or a code does not fit its level.
    """
    content = read_json(path, SHAPE, "write it again with `features semantic-ids --form json`")
    sizes = tuple(content["sizes"])
    if not sizes or min(sizes) < 1:
        raise InputError(f"{path}: sizes={list(sizes)}: expected a list of whole numbers of at least 1")
    for item, codes in content["codes"].items():
        if len(codes) != len(sizes) + 1 or any(code >= size for code, size in zip(codes, sizes)):
            raise InputError(
                f"{path}: {item}: {codes}: expected {len(sizes)} codes below {list(sizes)} and a last token"
            )
    return sizes, {item: codes[:-1] for item, codes in content["codes"].items()}
