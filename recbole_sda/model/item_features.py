"""From a data set's feature store to the matrices that an item encoder takes."""

import logging
from typing import List

import torch

from recbole_sda.features.store import AlignedFeatures, find_store
from recbole_sda.features.transforms import view
from recbole_sda.model.settings import FeatureSettings

logger = logging.getLogger(__name__)


def item_tokens(dataset) -> List[str]:
    """Return the external token of each of RecBole's internal item ids; position 0 is the padding item."""
    return [str(token) for token in dataset.field2id_token[dataset.iid_field]]


def load_item_features(config, dataset, settings: FeatureSettings) -> tuple:
    """Read, derive and align the features of a data set's items; log what is missing.

    Returns:
        The :class:`AlignedFeatures`, and a plain dict that says in results where they come from.
    """
    store = find_store(config["data_path"], settings.features)
    names = store.check_modalities(settings.modalities)
    matrices = {name: view(store, name, settings.feature_views) for name in names}
    aligned = store.align(item_tokens(dataset), matrices)
    if settings.shuffle_features:
        _shuffle_rows(aligned, int(config["seed"]))
        logger.warning("shuffle_features: every item has another item's features; this run is a control")
    n_items = dataset.item_num - 1
    missing = {name: n_items - int(aligned.present[m].sum()) for m, name in enumerate(names)}
    described = ", ".join(f"{name} {aligned.matrices[name].shape[1]}-d, {missing[name]} missing" for name in names)
    logger.info("features %s: %d items, %d without a row; %s", store.path, n_items, len(aligned.without_row), described)
    return aligned, {
        "store": str(store.path),
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
    """Permute the items' features, all modalities alike; the padding item stays where it is."""
    n = aligned.present.shape[1] - 1
    order = 1 + torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    order = torch.cat([torch.zeros(1, dtype=torch.long), order])
    aligned.present = aligned.present[:, order]
    aligned.matrices = {name: matrix[order] for name, matrix in aligned.matrices.items()}
