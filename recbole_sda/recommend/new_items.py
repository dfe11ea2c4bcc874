"""Items that came after training: embedded from their features alone, and scored beside the others."""

import logging
from contextlib import contextmanager
from typing import Iterator, List, NamedTuple, Sequence

import torch
from torch import Tensor, nn

from recbole_sda.errors import InputError
from recbole_sda.features.light_encoders import LIGHT
from recbole_sda.features.store import FeatureStore
from recbole_sda.features.transforms import view_of_others
from recbole_sda.model.item_features import item_tokens

logger = logging.getLogger(__name__)


class NewItems(NamedTuple):
    """Items that the model was not trained on.

    Attributes:
        ids: external item ids.
        embeddings: (n_new, dim); an id embedding, where the model has them, is left out: there is none to learn from.
    """

    ids: List[str]
    embeddings: Tensor


def embed_new_items(run, store: FeatureStore) -> NewItems:
    """Return the items of a store that the run's data set lacks, embedded by the run's item encoder.

    Args:
        run: an open run with its weights, see :func:`recbole_sda.engine.run.load`.
        store: features made like those of the run.

    Raises:
        InputError: the model has no encoder, the store has no new item, or its vectors are of another kind.
    """
    model = run.model
    if getattr(model, "feature_record", None) is None or not hasattr(model, "item_table"):
        raise InputError(
            f"new items need a model that embeds items by their features alone; {run.config['model']} does not"
        )
    trained_on = FeatureStore(model.feature_record["store"])
    store.check_modalities(model.modality_names)
    check_same_space(trained_on, store, model.modality_names)
    known = set(item_tokens(run.data.dataset))
    rows = [row for row, token in enumerate(store.item_ids) if token not in known]
    if not rows:
        raise InputError(f"{store.path} holds no item that the run's data set lacks")
    present = torch.stack([store.present(name) for name in model.modality_names])
    blank = [store.item_ids[row] for row in rows if not present[:, row].any()]
    if blank:
        logger.warning(
            "%d new items without any vector of %s are left out: %s",
            len(blank), " and ".join(model.modality_names), ", ".join(blank[:5]) + ", ..." * (len(blank) > 5),
        )  # fmt: skip
        rows = [row for row in rows if present[:, row].any()]
    if not rows:
        raise InputError(f"{store.path}: no new item has a vector of {' or '.join(model.modality_names)}")
    steps = model.feature_record["views"]
    device = model.items.present.device
    features = [view_of_others(trained_on, store, name, steps)[rows].to(device) for name in model.modality_names]
    with torch.no_grad():
        _, embeddings = model.items.encoder.eval()(features, present[:, rows].to(device))
    return NewItems([store.item_ids[row] for row in rows], embeddings)


def check_same_space(ours: FeatureStore, others: FeatureStore, modalities: Sequence[str]) -> None:
    """Refuse a store whose vectors are not of the same encoder as ours: they would be embedded, and mean nothing.

    The record of the encoder must be the same. Where it tells too little (none is recorded, or it is one that is fitted on its
    own catalogue, as the light one), the stores must share items, and these must have the same vectors.
    """
    for key in ("encoder", "pooling", "prompt", "truncate_dim", "l2"):
        values = [store.manifest.get(key) for store in (ours, others)]
        if values[0] != values[1]:
            raise InputError(
                f"{others.path} was made with {key} {values[1]}, the run's features with {values[0]}: their vectors do not compare"
            )
    place = {token: row for row, token in enumerate(ours.item_ids)}
    shared = [(place[token], row) for row, token in enumerate(others.item_ids) if token in place]
    compared = 0
    for name in modalities if shared else ():
        a, b = (torch.tensor(rows) for rows in zip(*shared))
        both = ours.present(name)[a] & others.present(name)[b]
        x, y = ours.matrix(name)[a[both]].float(), others.matrix(name)[b[both]].float()
        if x.shape != y.shape or not torch.allclose(
            x, y, rtol=1e-2, atol=1e-2 * float(x.abs().mean() if len(x) else 1)
        ):
            raise InputError(f"{others.path}: items that {ours.path} has too have other {name} vectors there")
        compared += len(x)
    encoder = (others.manifest.get("encoder") or {}).get("model")
    if not compared and encoder in (None, LIGHT):
        way = "record it in both with `features import --encoder`" if encoder is None else ""
        way = way or "extract one store of old and new items, train on it, and give it here too"
        why = (
            "its encoder is not recorded" if encoder is None else "the light encoders are fitted on each catalogue anew"
        )
        raise InputError(f"{others.path}: {why}, so its vectors may not be those of {ours.path}; {way}")


@contextmanager
def extended(model, new: NewItems) -> Iterator[None]:
    """Inside, the model's item table ends with the new items, so that it scores them too.

    A model with a bias per item (BERT4Rec, TransRec) gives new items the median bias.
    """
    n_rows, longer = model.items.num_embeddings + len(new.ids), {}

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
