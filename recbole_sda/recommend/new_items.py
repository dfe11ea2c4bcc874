"""New items, added after training: embedded from their features alone, and scored together with the trained items."""

import logging
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Set, Tuple

import torch
from torch import Tensor, nn

from recbole_sda.engine.run import Run
from recbole_sda.errors import InputError
from recbole_sda.features.light_encoders import LIGHT_ENCODER
from recbole_sda.features.store import FeatureStore
from recbole_sda.features.transforms import view_of_others
from recbole_sda.io.ids import id_text
from recbole_sda.model.item_features import item_tokens, training_graph

logger = logging.getLogger(__name__)


class NewItems(NamedTuple):
    """Items that the model was not trained on.

    Attributes:
        ids: external item ids.
        embeddings: (n_new, dim), from features alone: new items have no trained id embedding.
    """

    ids: List[str]
    embeddings: Tensor


def embed_new_items(run: Run, store: FeatureStore) -> NewItems:
    """Embed the items of a store that the run's data set does not have, with the run's item encoder.

    Args:
        run: an open run with its weights, see :func:`recbole_sda.engine.run.load`.
        store: features from the same encoder as those of the run.

    Raises:
        InputError: the model has no item encoder, or the store has no new item with vectors, or vectors of another encoder.
    """
    model: Any = run.model
    if not hasattr(model, "item_table") or model.items.encoder is None:
        raise InputError(
            f"new items need a model that embeds items from their features alone; {run.config['model']} does not"
        )
    trained_on = FeatureStore(model.feature_record["store"])
    store.check_modalities(model.modality_names)
    check_same_space(trained_on, store, model.modality_names)
    rows, present = _new_rows(store, model.modality_names, set(map(id_text, item_tokens(run.data.dataset))))
    steps = model.feature_record["views"]
    device = model.items.present.device
    graph = training_graph(run.data.train._dataset, trained_on, steps)
    features = [view_of_others(trained_on, store, name, steps, graph)[rows].to(device) for name in model.modality_names]
    with torch.no_grad():
        _, embeddings = model.items.encoder.eval()(features, present.to(device))
    return NewItems([store.item_ids[row] for row in rows], embeddings)


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


@contextmanager
def extended(model: Any, new: NewItems) -> Iterator[None]:
    """Context manager in which the new items follow the rows of the model's item table, so that the model scores them too.

    In a model with a bias per item (BERT4Rec, TransRec), a new item has the median bias.
    """
    n_rows = model.items.num_embeddings + len(new.ids)
    longer: Dict[str, Any] = {}

    def with_median(bias: Tensor) -> Tensor:
        more = bias.new_full((n_rows - len(bias), *bias.shape[1:]), float(bias.median()))
        return torch.cat([bias.detach(), more])

    if hasattr(model, "output_bias"):
        longer = {"n_items": n_rows, "output_bias": nn.Parameter(with_median(model.output_bias), requires_grad=False)}
    elif isinstance(getattr(model, "bias", None), nn.Embedding):
        longer = {"bias": nn.Embedding.from_pretrained(with_median(model.bias.weight))}
    trained = {name: getattr(model, name) for name in longer}
    with model.items.with_more_rows(new.embeddings):
        try:
            for name, value in longer.items():
                setattr(model, name, value)
            yield
        finally:
            for name, value in trained.items():
                setattr(model, name, value)
