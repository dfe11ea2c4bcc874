"""Unit vectors of items for their cosine similarity: of one modality of a store, text where nothing else is named."""

from pathlib import Path
from typing import Optional, Sequence, Tuple, Union

from torch import Tensor
from torch.nn import functional as F

from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore, find_store
from recbole_sda.features.transforms import view

DEFAULT_MODALITY, STEPS = "text", ("center", "l2")  # vectors of large models share a direction, which centring removes


def store_and_modality(dataset_path: Union[str, Path], name: Optional[str]) -> Tuple[FeatureStore, str]:
    """Return a store of a data set and the name of one of its modalities.

    Args:
        dataset_path: the data set's directory.
        name: ``STORE`` or ``STORE/MODALITY``; None: the only or the default store. Without a modality, it is ``text`` where the
            store has it, else the first one.

    Raises:
        InputError: there is no such store or modality, or one of the two names is empty.
    """
    store_name, slash, modality = (name or "").partition("/")
    if slash and not (store_name and modality):
        raise InputError(f"{name!r}: expected STORE or STORE/MODALITY, as minilm/text")
    store = find_store(dataset_path, store_name or None)
    if not modality:
        modality = DEFAULT_MODALITY if DEFAULT_MODALITY in store.modalities else store.modalities[0]
    return store, store.check_modalities([modality])[0]


def unit_vectors(store: FeatureStore, modality: str, tokens: Sequence[str]) -> Tensor:
    """Return centred vectors of length 1 in the order of item tokens, (n_tokens, dim), float32; zero for items without one.

    Args:
        store: the store.
        modality: one of its modalities.
        tokens: item tokens; position 0 is the padding item.

    Raises:
        InputError: the store has none of the items.
    """
    aligned = store.align(list(tokens), {modality: view(store, modality, STEPS)})
    return F.normalize(aligned.matrices[modality], dim=1)
