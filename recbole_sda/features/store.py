"""The feature store: one vector per item and modality, with the item ids and the origin of the vectors.

A store is a directory ``<data_path>/<dataset>/features/<name>/``:

    features.safetensors   per modality a float16 or float32 matrix (n_items, dim) and a bool vector `<modality>.present`
    item_ids.txt           the external item token of each row, one per line
    manifest.json          schema version, encoder, prompt, counts, library versions, sha256 of the two files above
    views/                 cached results of transforms (see transforms.py)

Beside the stores, ``features/default.txt`` names the one that runs read by default (see store_choice.py).
Rows of items without a modality are zeros and are marked in ``present``. A store is written atomically: to a
neighbouring directory that is then renamed. It is read memory-mapped.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Union

import torch
from torch import Tensor

from recbole_sda.errors import InputError, nearest
from recbole_sda.features.checks import check_counts, check_ids, check_matrix, counts_of
from recbole_sda.features.manifest import (
    FEATURES,
    ITEM_IDS,
    MANIFEST,
    MANIFEST_KEYS,
    SCHEMA_VERSION,
    content_sha256,
    read_manifest,
)
from recbole_sda.features.store_choice import store_path
from recbole_sda.features.writer import write_store
from recbole_sda.io.atomic_folder import restore_folder
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.ids import id_text
from recbole_sda.io.regular_file import regular_file
from recbole_sda.io.tensors import open_tensors, tensor_of
from recbole_sda.io.text import read_lines

__all__ = ["AlignedFeatures", "FeatureStore", "find_store", "stored_sha256", "write_store"]


@dataclass
class AlignedFeatures:
    """Features in the order of a list of item tokens.

    Attributes:
        modalities: names, in the store's order.
        matrices: per modality (n_tokens, dim), float32; zeros where the modality is missing.
        present: (n_modalities, n_tokens), bool.
        without_row: tokens that are not in the store.
    """

    modalities: List[str]
    matrices: Dict[str, Tensor]
    present: Tensor
    without_row: List[str] = field(default_factory=list)


class FeatureStore:
    """A feature store opened for reading; matrices are memory-mapped.

    Args:
        path: the directory of the store.
        verify: whether the files are compared with the hashes in the manifest.

    Attributes:
        path: the directory of the store.
        manifest: the content of ``manifest.json``.
        counts: per modality ``dim``, ``dtype`` and the numbers of ``present`` and ``missing`` items.
        item_ids: external item tokens, in row order.

    Raises:
        InputError: a file is missing, truncated or changed, its content is invalid, or it has another schema version.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from recbole_sda.features.store import FeatureStore, write_store
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_store(f"{folder}/mine", ["a", "b"], {"text": np.array([[1, 2], [3, 4]], np.float16)})
        ...     store = FeatureStore(path)
        ...     aligned = store.align(["[PAD]", "b", "new", "a"])
        >>> store.modalities, store.item_ids
        (['text'], ['a', 'b'])
        >>> aligned.matrices["text"].tolist()
        [[0.0, 0.0], [3.0, 4.0], [0.0, 0.0], [1.0, 2.0]]
        >>> aligned.present.tolist(), aligned.without_row
        ([[False, True, False, True]], ['new'])
    """

    def __init__(self, path: Union[str, Path], verify: bool = True) -> None:
        self.path = Path(path)
        restore_folder(self.path)
        for name in (MANIFEST, FEATURES, ITEM_IDS):
            if not (self.path / name).exists():
                raise InputError(f"{self.path} is not a feature store: {name} is missing")
            regular_file(self.path / name)
        self.manifest = read_manifest(self.path)
        schema, hashes, self.counts = (self.manifest[key] for key in MANIFEST_KEYS)
        if schema != SCHEMA_VERSION:
            raise InputError(f"{self.path} has schema version {schema}; this version reads {SCHEMA_VERSION}")
        if verify:
            for name in (FEATURES, ITEM_IDS):
                if sha256_of(self.path / name) != hashes[name]:
                    raise InputError(f"{self.path / name} is truncated or changed: its sha256 is not the manifest's")
        self.item_ids = check_ids(read_lines(self.path / ITEM_IDS), str(self.path / ITEM_IDS))
        noted, n_ids = self.manifest.get("n_items"), len(self.item_ids)
        if noted is not None and noted != n_ids:
            raise InputError(f"{self.path / MANIFEST}: n_items={noted}, but {ITEM_IDS} has {n_ids} ids")
        self._file = open_tensors(self.path / FEATURES)
        for name in self.modalities:
            matrix, present = self.matrix(name), self.present(name)
            check_matrix(str(self.path), name, matrix, present, len(self.item_ids))
            check_counts(f"{self.path / MANIFEST}: {name}", self.counts[name], counts_of(matrix, present))

    @property
    def modalities(self) -> List[str]:
        """Names of the modalities, in the order in which they were written."""
        return list(self.counts)

    @property
    def features_sha256(self) -> str:
        """SHA-256 of the vectors alone; cached transforms depend on it, since they do not depend on the item ids."""
        return str(self.manifest["sha256"][FEATURES])

    @property
    def sha256(self) -> str:
        """SHA-256 over the vectors and their item ids; results and checkpoints record it."""
        return content_sha256(self.manifest)

    def matrix(self, modality: str) -> Tensor:
        """Return the vectors of a modality, (n_items, dim), memory-mapped, in the stored dtype."""
        return self._tensor(modality)

    def present(self, modality: str) -> Tensor:
        """Return the mask of the items that have a modality, (n_items,), bool."""
        return self._tensor(f"{modality}.present")

    def _tensor(self, name: str) -> Tensor:
        return tensor_of(self._file, name, self.path / FEATURES)

    def check_modalities(self, names: Optional[Sequence[str]]) -> List[str]:
        """Return ``names``, or all modalities where it is None or empty.

        Raises:
            InputError: a name is not a modality of the store, or is given twice.
        """
        if not names:
            return self.modalities
        for position, name in enumerate(names):
            if name in names[:position]:
                raise InputError(f"modalities={list(names)}: {name!r} is given twice")
            if name not in self.counts:
                raise InputError(
                    f"modalities={list(names)}: {self.path} has no modality {name!r}; it has {', '.join(self.modalities)}."
                    f"{nearest(name, self.modalities)}"
                )
        return list(names)

    def rows(self, tokens: Sequence[str]) -> Tensor:
        """Return the row of each item token, (n_tokens,), int64; -1 for a token that is not in the store.

        Tokens are compared as :func:`recbole_sda.io.ids.id_text` writes them, so white space around one does not matter.
        """
        index = {token: row for row, token in enumerate(self.item_ids)}
        return torch.tensor([index.get(id_text(token), -1) for token in tokens])

    def align(self, tokens: Sequence[str], matrices: Optional[Mapping[str, Tensor]] = None) -> AlignedFeatures:
        """Return the features in the order of item tokens.

        Args:
            tokens: item tokens; position 0 is the padding item and gets no features.
            matrices: per modality the vectors to align, (n_items, any dim); None aligns the stored vectors of all
                modalities.

        Raises:
            InputError: no token is in the store, or no item of the tokens has one of the modalities.
        """
        if matrices is None:
            matrices = {name: self.matrix(name) for name in self.modalities}
        rows = self.rows(tokens)
        rows[0] = -1
        in_store = rows >= 0
        if not in_store.any():
            asked, own = (", ".join(token[:60] for token in ids) for ids in (tokens[1:4], self.item_ids[:3]))
            raise InputError(
                f"{self.path} has none of the data set's items: the data set's ids are {asked}, ...; the store's {own}, ..."
            )
        aligned, present = {}, torch.zeros(len(matrices), len(tokens), dtype=torch.bool)
        for m, (name, matrix) in enumerate(matrices.items()):
            present[m, in_store] = self.present(name)[rows[in_store]]
            if not present[m].any():
                raise InputError(
                    f"{self.path}: no item of the data set has modality {name!r}; leave it out (modalities)"
                )
            aligned[name] = torch.zeros(len(tokens), matrix.shape[1])
            aligned[name][present[m]] = matrix[rows[present[m]]].float()
        missing = [tokens[i] for i in (~in_store).nonzero().flatten().tolist() if i]
        return AlignedFeatures(list(matrices), aligned, present, missing)


def find_store(dataset_path: Union[str, Path], name: Optional[str] = None) -> FeatureStore:
    """Open a store of a data set.

    Args:
        dataset_path: the data set's directory.
        name: the store's name below ``features/``; None opens the only one, or else the default.

    Raises:
        InputError: see :func:`recbole_sda.features.store_choice.store_path` and :class:`FeatureStore`.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from recbole_sda.features.store import find_store, write_store
        >>> with tempfile.TemporaryDirectory() as dataset:
        ...     path = write_store(f"{dataset}/features/light", ["a", "b"], {"text": np.ones((2, 3), np.float32)})
        ...     store = find_store(dataset)
        >>> store.path.name, store.matrix("text").shape
        ('light', torch.Size([2, 3]))
    """
    return FeatureStore(store_path(dataset_path, name))


def stored_sha256(path: Union[str, Path]) -> str:
    """Return :attr:`FeatureStore.sha256` of the store at ``path`` without opening the vectors."""
    return content_sha256(read_manifest(Path(path)))
