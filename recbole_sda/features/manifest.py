"""The files of a feature store and its manifest: hashes of the files and versions of the libraries that wrote them."""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict

from recbole_sda import __version__
from recbole_sda.errors import InputError
from recbole_sda.io.json import read_json
from recbole_sda.io.names import safe_name
from recbole_sda.io.schema import COUNT

SCHEMA_VERSION = 1
FEATURES, ITEM_IDS, MANIFEST = "features.safetensors", "item_ids.txt", "manifest.json"
MANIFEST_KEYS = ("schema_version", "sha256", "modalities")
SHAPE = {
    "schema_version": COUNT,
    "sha256": {FEATURES: str, ITEM_IDS: str},
    "modalities": {str: {"dim": COUNT, "dtype": str, "present": COUNT, "missing": COUNT}},
    "n_items?": COUNT,
    "encoder?": (dict, str, None),
    "versions?": {str: str},
}


def library_versions(*names: str) -> Dict[str, str]:
    """Return the versions of this package, of Python and of the named distributions."""
    named = {name: version(name) for name in names}
    return {"recbole-sda": __version__, "python": platform.python_version(), **named}


def read_manifest(path: Path) -> Dict[str, Any]:
    """Return the manifest of the store in the directory ``path``; an encoder that is a name becomes ``{"model": name}``.

    Raises:
        InputError: the manifest is missing or damaged, or a key is missing or has a value of another type.
    """
    manifest: Dict[str, Any] = read_json(path / MANIFEST, SHAPE)
    if not manifest["modalities"]:
        raise InputError(f"{path / MANIFEST} names no modality")
    for name in manifest["sha256"]:
        if name not in (FEATURES, ITEM_IDS):
            raise InputError(f"{path / MANIFEST}: sha256: {name[:80]!r} is no file of a store")
    for name in manifest["modalities"]:
        safe_name(f"{path / MANIFEST}: modality", name)
    if isinstance(manifest.get("encoder"), str):
        manifest["encoder"] = {"model": manifest["encoder"]}
    return manifest


def content_sha256(manifest: Dict[str, Any]) -> str:
    """Return the SHA-256 over the vectors and their item ids, from the hashes in a manifest."""
    hashes = manifest["sha256"]
    return hashlib.sha256(f"{hashes[FEATURES]} {hashes[ITEM_IDS]}".encode()).hexdigest()
