"""New items, added after training: rows from their features and their neighbours, scored together with the trained items."""

import logging
from typing import Any, List, NamedTuple, Sequence, Set, Tuple

import torch
from torch import Tensor

from recbole_sda.engine.fallback_choice import read_choice
from recbole_sda.engine.run import Run
from recbole_sda.errors import InputError
from recbole_sda.features.content import content_vectors
from recbole_sda.features.light_encoders import LIGHT_ENCODER
from recbole_sda.features.store import FeatureStore
from recbole_sda.features.store_choice import store_folder
from recbole_sda.features.transforms import view_of_others
from recbole_sda.io.ids import id_text
from recbole_sda.layers.content_rows import Completion
from recbole_sda.model.completed_items import TrainedContent, reads_content
from recbole_sda.model.item_features import item_tokens, training_graph

logger = logging.getLogger(__name__)


class NewItems(NamedTuple):
    """Items that the model was not trained on.

    Attributes:
        ids: external item ids.
        completion: their rows, from features and from the trained items that are most similar to them.
        store: their feature store.
    """

    ids: List[str]
    completion: Completion
    store: FeatureStore


def embed_new_items(run: Run, store: FeatureStore) -> NewItems:
    """Find the rows of the items of a store that the run's data set does not have.

    Args:
        run: an open run with its weights, see :func:`recbole_sda.engine.run.load`.
        store: features from the same encoder as those of the run.

    Raises:
        InputError: the model reads no features, or the store has no new item with vectors, or vectors of another encoder.
    """
    model: Any = run.model
    if not reads_content(model):
        choice = read_choice(run.run_dir)
        if choice is not None and choice.kept == "base":
            raise InputError(
                f"new items need content, and {run.run_dir} kept the base model, which validation data preferred; train with "
                "--base_fallback=False"
            )
        raise InputError(
            f"new items need a model that reads item features, and {run.config['model']} does not with the keys of this run"
        )
    names, steps = list(model.feature_record["modalities"]), model.feature_record["views"]
    trained_on = FeatureStore(store_folder(model.feature_record["store"]))
    store.check_modalities(names)
    check_same_space(trained_on, store, names)
    rows, present = _new_rows(store, names, set(map(id_text, item_tokens(run.data.dataset))))
    training, device = run.data.train._dataset, run.config["device"]
    graph = training_graph(training, trained_on, steps)
    features = [view_of_others(trained_on, store, name, steps, graph)[rows] for name in names]
    content = TrainedContent.of(run.config, training)
    if not content.trained.any():
        raise InputError(
            f"{trained_on.path}: no item with training interactions has a vector, and new items have no neighbours"
        )
    neighbours = content.rows(content_vectors(features, present))
    with torch.no_grad():
        own = model.content_part([matrix.to(device) for matrix in features], present.to(device))
    return NewItems([store.item_ids[row] for row in rows], Completion(neighbours.to(device), own=own), store)


def _new_rows(store: FeatureStore, modalities: Sequence[str], trained: Set[str]) -> Tuple[List[int], Tensor]:
    """Return the rows of a store with new items, and which vectors they have, (n_modalities, n_new).

    New items without any vector are left out with a warning.
    """
    rows = [row for row, token in enumerate(store.item_ids) if token not in trained]
    if not rows:
        raise InputError(f"{store.path} has no item that the run's data set does not have")
    present = torch.stack([store.present(name) for name in modalities])
    blank = [store.item_ids[row] for row in rows if not present[:, row].any()]
    if blank:
        logger.warning(
            "%d new items have no vector of %s and are left out: %s",
            len(blank), " and ".join(modalities), ", ".join(blank[:5]) + ", ..." * (len(blank) > 5),
        )  # fmt: skip
        rows = [row for row in rows if present[:, row].any()]
    if not rows:
        raise InputError(f"{store.path}: no new item has a vector of {' or '.join(modalities)}")
    return rows, present[:, rows]


def check_same_space(ours: FeatureStore, others: FeatureStore, modalities: Sequence[str]) -> None:
    """Refuse a store whose vectors come from another encoder than ours: their embeddings would be meaningless.

    Both stores must record the same encoder. Where the record does not identify the vectors (no encoder is recorded, or a light
    encoder, which is fitted on the catalogue of its store), the stores must share items, and these must have the same vectors.

    Raises:
        InputError: the records differ, shared items have different vectors, or the stores share no items that are needed.
    """
    for key in ("encoder", "pooling", "prompt", "truncate_dim", "l2"):
        our_value, other_value = ours.manifest.get(key), others.manifest.get(key)
        if our_value != other_value:
            raise InputError(
                f"{others.path} was made with {key} {other_value}, the features of the run with {our_value}; their vectors "
                "are not comparable"
            )
    n_compared = _compare_shared_items(ours, others, modalities)
    encoder = (others.manifest.get("encoder") or {}).get("model")
    if n_compared or encoder not in (None, LIGHT_ENCODER):
        return
    if encoder is None:
        reason, remedy = "its encoder is not recorded", "record it in both with `features import --encoder`"
    else:
        reason = "a light encoder is fitted on the catalogue of each store"
        remedy = "extract one store of old and new items, train on it, and give it here too"
    raise InputError(f"{others.path}: {reason}, so its vectors may not match those of {ours.path}; {remedy}")


def _compare_shared_items(ours: FeatureStore, others: FeatureStore, modalities: Sequence[str]) -> int:
    """Refuse different vectors of items that both stores have; return the number of vectors compared."""
    row_of = {token: row for row, token in enumerate(ours.item_ids)}
    shared = [(row_of[token], row) for row, token in enumerate(others.item_ids) if token in row_of]
    n_compared = 0
    for name in modalities if shared else ():
        a, b = (torch.tensor(rows) for rows in zip(*shared))
        both = ours.present(name)[a] & others.present(name)[b]
        x, y = ours.matrix(name)[a[both]].float(), others.matrix(name)[b[both]].float()
        tolerance = 1e-2 * float(x.abs().mean() if len(x) else 1)
        if x.shape != y.shape or not torch.allclose(x, y, rtol=1e-2, atol=tolerance):
            raise InputError(f"{others.path}: its {name} vectors of items that {ours.path} also has are different")
        n_compared += len(x)
    return n_compared
