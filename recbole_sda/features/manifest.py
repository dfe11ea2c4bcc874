"""The files of a feature store and its manifest: hashes of the files and versions of the libraries that wrote them."""

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict

from recbole_sda import __version__
from recbole_sda.errors import InputError

SCHEMA_VERSION = 1
FEATURES, ITEM_IDS, MANIFEST = "features.safetensors", "item_ids.txt", "manifest.json"
MANIFEST_KEYS = ("schema_version", "sha256", "modalities")


def library_versions(*names: str) -> Dict[str, str]:
    """Return the versions of this package, of Python and of the named distributions."""
    named = {name: version(name) for name in names}
    return {"recbole-sda": __version__, "python": platform.python_version(), **named}


def read_manifest(path: Path) -> Dict[str, Any]:
    """Return the manifest of the store in the directory ``path``.

    Raises:
        InputError: the manifest is damaged or lacks one of ``MANIFEST_KEYS``.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        return {**manifest, **{key: manifest[key] for key in MANIFEST_KEYS}}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path / MANIFEST} is damaged ({type(error).__name__}: {error})") from None


def content_sha256(manifest: Dict[str, Any]) -> str:
    """Return the SHA-256 over the vectors and their item ids, from the hashes in a manifest."""
    hashes = manifest["sha256"]
    return hashlib.sha256(f"{hashes[FEATURES]} {hashes[ITEM_IDS]}".encode()).hexdigest()
