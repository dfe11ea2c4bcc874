"""The feature store: one vector per item and modality, with the item ids and where the vectors come from.

A store is a directory ``<data_path>/<dataset>/features/<name>/``:

    features.safetensors   per modality a float16 or float32 matrix (n_items, dim) and a bool vector `<modality>.present`
    item_ids.txt           the external item token of each row, one per line
    manifest.json          schema version, encoder, prompt, counts, library versions, sha256 of the two files above
    views/                 cached derived views (see views.py)

Rows of a missing modality hold zeros and are marked in ``present``. A store is written to a neighbouring directory and
renamed, so a reader sees the old one, the new one or none. It is opened memory-mapped.
"""

import hashlib
import json
import logging
import os
import platform
import shutil
import uuid
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from recbole_sda import __version__
from recbole_sda.errors import InputError, nearest
from recbole_sda.features.checks import DTYPES, check_ids, check_matrix
from recbole_sda.io.atomic_write import use_default_permissions

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
FEATURES, ITEM_IDS, MANIFEST = "features.safetensors", "item_ids.txt", "manifest.json"
MANIFEST_KEYS = ("schema_version", "sha256", "modalities")


@dataclass
class AlignedFeatures:
    """Features in the order of a list of item tokens.

    Attributes:
        modalities: names, in the store's order.
        matrices: per modality (n_tokens, dim), float32; zeros where the modality is missing.
        present: (n_modalities, n_tokens), bool.
        without_row: tokens that the store does not know.
    """

    modalities: List[str]
    matrices: Dict[str, Tensor]
    present: Tensor
    without_row: List[str] = field(default_factory=list)


def sha256_of(path: Path) -> str:
    """Return the hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def library_versions(*names: str) -> Dict[str, str]:
    """Return the versions of this package, of Python and of the named distributions."""
    found = {name: version(name) for name in names}
    return {"recbole-sda": __version__, "python": platform.python_version(), **found}


def write_store(
    path,
    item_ids: Sequence[str],
    features: Mapping[str, np.ndarray],
    present: Optional[Mapping[str, np.ndarray]] = None,
    provenance: Optional[Mapping] = None,
    overwrite: bool = False,
) -> Path:
    """Write a feature store atomically.

    Args:
        path: the directory of the store.
        item_ids: external item tokens, in row order; unique.
        features: per modality a float16 or float32 matrix (n_items, dim), as an array or a tensor.
        present: per modality a bool vector (n_items,); a modality left out is present everywhere. Rows of missing
            items are written as zeros; an item whose vector is zero, unlike those of others, counts as missing.
        provenance: what the manifest records beside counts and hashes: ``encoder``, ``prompt``, ``pooling``,
            ``image_budget``, and anything else that plain JSON holds.
        overwrite: whether an existing store is replaced.

    Raises:
        InputError: ids are not unique, shapes disagree, values are not finite, a modality is empty or its name is not
            a plain word, or the store exists already.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; remove it, choose another name, or overwrite it (--overwrite)")
    if path.exists() and not (path / MANIFEST).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path} is no feature store ({MANIFEST} is missing), so it is not overwritten")
    ids = check_ids(item_ids, str(path))
    if not features:
        raise InputError(f"{path}: a store needs at least one modality")
    tensors, counts = {}, {}
    for name, values in features.items():
        if not name.isidentifier():
            raise InputError(f"{path}: modality name {name!r} must be a plain word such as image, text or audio")
        matrix = torch.as_tensor(values)
        mask = torch.ones(len(matrix), dtype=torch.bool)
        if present is not None and name in present:
            mask = torch.as_tensor(present[name]).bool().clone()  # the same vector may be given for two
        if matrix.dim() == 2 and mask.shape == matrix.shape[:1]:
            empty = mask & (matrix == 0).all(dim=1)  # says nothing, and has no direction
            if empty.any() and not empty.equal(mask):
                logger.warning(
                    "%s: %d vectors of %s are all zero: these items count as without it", path, empty.sum(), name
                )
                mask = mask & ~empty
        check_matrix(str(path), name, matrix, mask, len(ids))
        tensors[name] = (matrix * mask.unsqueeze(-1)).contiguous()
        tensors[f"{name}.present"] = mask.contiguous()
        counts[name] = {
            "dim": matrix.shape[1],
            "dtype": DTYPES[matrix.dtype],
            "present": int(mask.sum()),
            "missing": int((~mask).sum()),
        }
    draft = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}"
    draft.mkdir(parents=True)
    try:
        save_file(tensors, draft / FEATURES)
        use_default_permissions(draft / FEATURES)
        (draft / ITEM_IDS).write_text("".join(f"{token}\n" for token in ids), encoding="utf-8")
        manifest = {
            "schema_version": SCHEMA_VERSION,
            **(provenance or {}),
            "n_items": len(ids),
            "modalities": counts,
            "versions": library_versions("numpy", "torch", "safetensors"),
            "sha256": {name: sha256_of(draft / name) for name in (FEATURES, ITEM_IDS)},
        }
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if path.exists():
            old = draft.with_name(draft.name + ".old")
            os.rename(path, old)
            os.rename(draft, path)
            shutil.rmtree(old)
        else:
            os.rename(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return path


def _read_manifest(path: Path) -> Dict[str, Any]:
    """Return the manifest of a store; a damaged one, or one that lacks a key, is an InputError."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        return {**manifest, **{key: manifest[key] for key in MANIFEST_KEYS}}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path / MANIFEST} is damaged ({type(error).__name__}: {error})") from None


class FeatureStore:
    """A feature store opened for reading; matrices are memory-mapped.

    Args:
        path: the directory of the store.
        verify: whether the files are compared with the hashes in the manifest.

    Raises:
        InputError: a file is missing, truncated, changed, or of another schema version.
    """

    def __init__(self, path, verify: bool = True):
        self.path = Path(path)
        for name in (MANIFEST, FEATURES, ITEM_IDS):
            if not (self.path / name).is_file():
                raise InputError(f"{self.path} is not a feature store: {name} is missing")
        self.manifest = _read_manifest(self.path)
        found, hashes, self.counts = (self.manifest[key] for key in MANIFEST_KEYS)
        if found != SCHEMA_VERSION:
            raise InputError(f"{self.path} has schema version {found}; this version reads {SCHEMA_VERSION}")
        if verify:
            for name, expected in hashes.items():
                if sha256_of(self.path / name) != expected:
                    raise InputError(
                        f"{self.path / name} is truncated or was changed: its sha256 is not the manifest's"
                    )
        ids = (self.path / ITEM_IDS).read_text(encoding="utf-8").split("\n")[:-1]
        self.item_ids = check_ids(ids, str(self.path / ITEM_IDS))
        try:
            self._file = safe_open(self.path / FEATURES, framework="pt")
        except SafetensorError as error:
            raise InputError(f"{self.path / FEATURES} is damaged ({error})") from None
        for name in self.modalities:
            check_matrix(str(self.path), name, self.matrix(name), self.present(name), len(self.item_ids))

    @property
    def modalities(self) -> List[str]:
        """Names of the modalities, in the order in which they were written."""
        return list(self.counts)

    @property
    def features_sha256(self) -> str:
        """Hash of the vectors, by which views name them: they are made row by row."""
        return self.manifest["sha256"][FEATURES]

    @property
    def sha256(self) -> str:
        """Hash of the vectors and of whose they are, by which results and checkpoints name a store."""
        return _sha256(self.manifest)

    def _tensor(self, name: str) -> Tensor:
        try:
            return self._file.get_tensor(name)
        except SafetensorError as error:
            raise InputError(f"{self.path / FEATURES} holds no {name!r} ({error})") from None

    def matrix(self, modality: str) -> Tensor:
        """Return the vectors of a modality, (n_items, dim), memory-mapped, in the stored dtype."""
        return self._tensor(modality)

    def present(self, modality: str) -> Tensor:
        """Return the mask of the items that have a modality, (n_items,), bool."""
        return self._tensor(f"{modality}.present")

    def check_modalities(self, names: Optional[Sequence[str]]) -> List[str]:
        """Return ``names``, or all modalities for None; an unknown one, or one given twice, is an InputError."""
        for place, name in enumerate(names or []):
            if name in names[:place]:
                raise InputError(f"modalities={list(names)}: {name!r} stands there twice")
            if name not in self.counts:
                known = ", ".join(self.modalities)
                raise InputError(
                    f"{self.path} has no modality {name!r}; it has {known}.{nearest(name, self.modalities)}"
                )
        return list(names or self.modalities)

    def rows(self, tokens: Sequence[str]) -> Tensor:
        """Return the row of each token, (n_tokens,), int64; -1 where the store does not know it."""
        index = {token: row for row, token in enumerate(self.item_ids)}
        return torch.tensor([index.get(token, -1) for token in tokens])

    def align(self, tokens: Sequence[str], matrices: Optional[Mapping[str, Tensor]] = None) -> AlignedFeatures:
        """Bring the rows into the order of item tokens.

        Args:
            tokens: item tokens; position 0 is the padding item and gets no features.
            matrices: per modality what to align, (n_items, any dim); None takes the stored vectors of all modalities.

        Raises:
            InputError: not one token is known to the store.
        """
        if matrices is None:
            matrices = {name: self.matrix(name) for name in self.modalities}
        rows = self.rows(tokens)
        rows[0] = -1
        found = rows >= 0
        if not found.any():
            ours, theirs = ", ".join(list(tokens[1:4])), ", ".join(self.item_ids[:3])
            raise InputError(
                f"{self.path} knows none of the data set's items: items are {ours}, ...; ids there {theirs}, ..."
            )
        aligned, present = {}, torch.zeros(len(matrices), len(tokens), dtype=torch.bool)
        for m, (name, matrix) in enumerate(matrices.items()):
            present[m, found] = self.present(name)[rows[found]]
            if not present[m].any():
                raise InputError(
                    f"{self.path}: no item of the data set has modality {name!r}; leave it out (modalities)"
                )
            aligned[name] = torch.zeros(len(tokens), matrix.shape[1])
            aligned[name][present[m]] = matrix[rows[present[m]]].float()
        missing = [tokens[i] for i in (~found).nonzero().flatten().tolist() if i]
        return AlignedFeatures(list(matrices), aligned, present, missing)


def find_store(dataset_path, name: Optional[str] = None) -> FeatureStore:
    """Open a store of a data set; see :func:`store_path`."""
    return FeatureStore(store_path(dataset_path, name))


def stored_sha256(path) -> str:
    """Return :attr:`FeatureStore.sha256` without opening the vectors."""
    return _sha256(_read_manifest(Path(path)))


def _sha256(manifest: Dict[str, Any]) -> str:
    hashes = manifest["sha256"]
    return hashlib.sha256(f"{hashes[FEATURES]} {hashes[ITEM_IDS]}".encode()).hexdigest()


def store_path(dataset_path, name: Optional[str] = None) -> Path:
    """Return the directory of a store of a data set.

    Args:
        dataset_path: the data set's directory.
        name: the store's name below ``features/``; None takes the only one.

    Raises:
        InputError: there is no such store, or no name was given and there are several.
    """
    folder = Path(dataset_path) / "features"
    names = sorted(p.name for p in folder.iterdir() if (p / MANIFEST).is_file()) if folder.is_dir() else []
    if not names:
        raise InputError(
            f"no feature store in {folder}. Import vectors of your own with `python -m recbole_sda features import`, "
            "or make light ones from texts and pictures with `python -m recbole_sda features extract`"
        )
    if name is None and len(names) > 1:
        raise InputError(f"{folder} holds several feature stores ({', '.join(names)}); choose one with --features=NAME")
    if name is not None and str(name) not in names:
        raise InputError(
            f"no feature store {str(name)!r} in {folder}; there is {', '.join(names)}.{nearest(name, names)}"
        )
    return folder / str(name or names[0])
