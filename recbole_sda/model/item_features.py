"""From a data set's feature store to the matrices that an item encoder takes."""

import logging
from typing import Any, Dict, List, Optional, Sequence, Tuple

import scipy.sparse as sp
import torch

from recbole_sda.features.rec_pca import cooccurrence_of_rows
from recbole_sda.features.store import AlignedFeatures, FeatureStore, find_store
from recbole_sda.features.transforms import uses_graph, view
from recbole_sda.io.hub import is_hub_name
from recbole_sda.model.known_items import training_pairs
from recbole_sda.model.settings import FeatureSettings

logger = logging.getLogger(__name__)


def item_tokens(dataset: Any) -> List[str]:
    """Return the external token of each of RecBole's internal item ids; position 0 is the padding item."""
    return [str(token) for token in dataset.field2id_token[dataset.iid_field]]


def training_graph(dataset: Any, store: FeatureStore, steps: Sequence[str]) -> Optional[sp.csr_matrix]:
    """Return the co-occurrence of a store's items in the training interactions, (n_rows, n_rows); None where no step uses it.

    Args:
        dataset: RecBole's training part.
        store: the store.
        steps: the steps of its views.
    """
    if not uses_graph(steps):
        return None
    users, items = training_pairs(dataset)
    return cooccurrence_of_rows(store, item_tokens(dataset), users, items, dataset.user_num)


def align_item_features(config: Any, dataset: Any, settings: FeatureSettings) -> Tuple[FeatureStore, AlignedFeatures]:
    """Return the feature store of a data set, and its features in the order of the items; see :func:`load_item_features`."""
    store = find_store(config["data_path"], settings.features)
    names = store.check_modalities(settings.modalities)
    graph = training_graph(dataset, store, settings.feature_views)
    matrices = {name: view(store, name, settings.feature_views, graph=graph) for name in names}
    aligned = store.align(item_tokens(dataset), matrices)
    if settings.shuffle_features:
        _shuffle_rows(aligned, int(config["seed"]))
    return store, aligned


def load_item_features(config: Any, dataset: Any, settings: FeatureSettings) -> Tuple[AlignedFeatures, Dict[str, Any]]:
    """Read, transform and align the features of a data set's items; log how many are missing.

    Args:
        config: RecBole's configuration: ``data_path`` and ``seed``.
        dataset: RecBole's training part.
        settings: the store, its modalities, their transforms, and whether items exchange their features.

    Returns:
        The aligned features, one row per internal item id; and their provenance as plain data, which results record.

    Raises:
        InputError: there is no such store or modality, or the store has none of the data set's items.
    """
    store, aligned = align_item_features(config, dataset, settings)
    names = list(aligned.modalities)
    if settings.shuffle_features:
        logger.warning("shuffle_features: every item has another item's features; this run is a control")
    n_items = dataset.item_num - 1
    missing = {name: n_items - int(aligned.present[m].sum()) for m, name in enumerate(names)}
    described = ", ".join(f"{name} {aligned.matrices[name].shape[1]}-d, {missing[name]} missing" for name in names)
    logger.info(
        "features %s: %d items, %d of them not in the store; %s",
        store.path,
        n_items,
        len(aligned.without_row),
        described,
    )
    return aligned, {
        "store": settings.features if is_hub_name(settings.features) else str(store.path),
        "sha256": store.sha256,
        "encoder": store.manifest.get("encoder"),
        "views": list(settings.feature_views),
        "modalities": {name: aligned.matrices[name].shape[1] for name in names},
        "items": n_items,
        "items_without_row": len(aligned.without_row),
        "items_missing": missing,
        "shuffled": settings.shuffle_features,
    }


def _shuffle_rows(aligned: AlignedFeatures, seed: int) -> None:
    """Permute the items' features, all modalities alike; the padding item keeps row 0."""
    n = aligned.present.shape[1] - 1
    order = 1 + torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    order = torch.cat([torch.zeros(1, dtype=torch.long), order])
    aligned.present = aligned.present[:, order]
    aligned.matrices = {name: matrix[order] for name, matrix in aligned.matrices.items()}
