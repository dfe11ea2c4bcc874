"""Items that came after training: embedded from their features alone, and scored beside the others."""

from contextlib import contextmanager
from typing import Iterator, List, NamedTuple

import torch
from torch import Tensor, nn

from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.features.views import view_of_others
from recbole_sda.model.item_features import item_tokens


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
        run: an open run with its weights, see :func:`recbole_sda.quick_start.load`.
        store: features made like those of the run.

    Raises:
        InputError: the model has no encoder, the store has no new item, or its vectors are of another kind.
    """
    model = run.model
    if getattr(model, "feature_record", None) is None:
        raise InputError(f"new items need a model that embeds items by their features; {run.config['model']} does not")
    trained_on = FeatureStore(model.feature_record["store"])
    ours, theirs = trained_on.manifest.get("encoder"), store.manifest.get("encoder")
    if ours != theirs:
        raise InputError(
            f"{store.path} was made by {theirs}, the run's features by {ours}: their vectors do not compare"
        )
    store.check_modalities(model.modality_names)
    known = set(item_tokens(run.data.dataset))
    rows = [row for row, token in enumerate(store.item_ids) if token not in known]
    if not rows:
        raise InputError(f"{store.path} holds no item that the run's data set lacks")
    steps = model.feature_record["views"]
    device = model.items.present.device
    features = [view_of_others(trained_on, store, name, steps)[rows].to(device) for name in model.modality_names]
    present = torch.stack([store.present(name)[rows] for name in model.modality_names]).to(device)
    with torch.no_grad():
        _, embeddings = model.items.encoder.eval()(features, present)
    return NewItems([store.item_ids[row] for row in rows], embeddings)


@contextmanager
def extended(model, new: NewItems) -> Iterator[None]:
    """Inside, the model's item table ends with the new items, so that it scores them too.

    A model with a bias per item (BERT4Rec) gives new items the median bias.
    """
    items, n_new = model.items, len(new.ids)
    first = items.num_embeddings
    bias, n_items = getattr(model, "output_bias", None), model.n_items
    with items.with_more_rows(new.embeddings):
        try:
            if bias is not None:
                model.n_items = first + n_new
                more = bias.new_full((first + n_new - len(bias),), float(bias.median()))
                model.output_bias = nn.Parameter(torch.cat([bias.detach(), more]), requires_grad=False)
            yield
        finally:
            if bias is not None:
                model.n_items, model.output_bias = n_items, bias
