"""What is pushed to the Hub: the kind of a folder, its files, and the index of their hashes.

Only files that a kind names are pushed or taken. Weights are safetensors; nothing is pickled.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Union

from recbole_sda.errors import InputError
from recbole_sda.features.hub_store import REPO_TYPE, STORE_FILES
from recbole_sda.features.manifest import library_versions
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.json import read_json
from recbole_sda.io.schema import COUNT, check_shape

INDEX, CARD = "recbole_sda.json", "README.md"
FORMAT = 1
SHAPE = {"kind": str, "format": COUNT, "sha256": {str: str}, "versions?": {str: str}}
MAX_FILES = 16
BEST_TENSORS, BEST_REST = "checkpoint/best.safetensors", "checkpoint/best.json"
_ADAPTER = r"(image/|text/)?(adapter_config\.json|adapter_model\.safetensors)"


class Kind(NamedTuple):
    """What can be pushed.

    Attributes:
        name: features, adapter or run.
        repo_type: type of its repositories.
        files: pattern of the paths of its files.
        needed: files of which all must be there; for an adapter, which has several forms, the package decides.
    """

    name: str
    repo_type: str
    files: str
    needed: tuple = ()


KINDS = {
    "features": Kind("features", REPO_TYPE, "|".join(map(re.escape, STORE_FILES)), STORE_FILES),
    "adapter": Kind("adapter", "model", rf"(adapter/)?{_ADAPTER}|adapt\.yaml|history\.jsonl|export\.json"),
    "run": Kind(
        "run",
        "model",
        r"config\.yaml|metrics\.json|item_ids\.txt|history\.jsonl|fallback\.json|checkpoint/best\.(safetensors|json)",
        ("config.yaml", "metrics.json", "item_ids.txt", BEST_TENSORS, BEST_REST),
    ),
}


@dataclass(frozen=True)
class Package:
    """A folder that is ready to be pushed.

    Attributes:
        kind: what it is.
        files: path in the repository -> file, or its content.
        facts: what the card describes, see :mod:`recbole_sda.hub.card`.
    """

    kind: Kind
    files: Dict[str, Union[Path, bytes]]
    facts: Dict[str, Any]

    @cached_property
    def index(self) -> Dict[str, Any]:
        """The index: kind, hashes of the files, versions."""
        hashes = {
            name: hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else sha256_of(content)
            for name, content in sorted(self.files.items())
        }
        versions = library_versions("torch", "safetensors")
        return {"kind": self.kind.name, "format": FORMAT, "sha256": hashes, "versions": versions}


def index_text(index: Dict[str, Any]) -> str:
    """Return the text of an index."""
    return json.dumps(index, indent=2) + "\n"


def read_index(path: Path, name: object) -> Dict[str, Any]:
    """Return the index of a repository.

    Args:
        path: of the index.
        name: of the repository, for messages.

    Raises:
        InputError: it is damaged or of another format or kind, or it names a file that its kind does not have.
    """
    index: Dict[str, Any] = check_shape(read_json(path), SHAPE, f"{name}: {INDEX}")
    kind = KINDS.get(index["kind"])
    if index["format"] != FORMAT or kind is None:
        raise InputError(
            f"{name}: {INDEX} has format {index['format']} and kind {index['kind'][:40]!r}; this version reads format {FORMAT} of "
            f"{', '.join(KINDS)}"
        )
    if len(index["sha256"]) > MAX_FILES:
        raise InputError(f"{name}: {INDEX} names {len(index['sha256'])} files, expected at most {MAX_FILES}")
    for file in index["sha256"]:
        if not re.fullmatch(kind.files, file):
            raise InputError(f"{name}: {INDEX} names {file[:80]!r}, which is no file of the kind {kind.name}")
    missing = [file for file in kind.needed if file not in index["sha256"]]
    if missing:
        raise InputError(f"{name}: {INDEX} lacks {missing[0]}, which the kind {kind.name} has")
    return index


def portable(value: Any) -> Any:
    """Return nested data without the folders of this machine: an absolute path becomes its last part.

    Example:
        >>> portable({"backbone": "/data/models/qwen", "items": "items.jsonl", "sizes": [1]})
        {'backbone': 'qwen', 'items': 'items.jsonl', 'sizes': [1]}
    """
    if isinstance(value, dict):
        return {key: portable(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(part) for part in value]
    is_path = isinstance(value, str) and re.match(r"/|~|[A-Za-z]:[\\/]", value) and "\n" not in value
    return re.split(r"[\\/]", value.rstrip("/\\"))[-1] if is_path else value


def kind_of(folder: Path) -> Kind:
    """Return the kind of a local folder.

    Raises:
        InputError: it is none of the kinds.
    """

    def has(*names: str) -> bool:
        return all((folder / name).is_file() for name in names)

    if not folder.is_dir():
        raise InputError(f"hub push {folder}: the folder does not exist")
    found: Optional[str] = None
    if has("manifest.json"):
        found = "features"
    elif has("adapt.yaml") or has("export.json") or has("adapter_config.json") or has("image/adapter_config.json"):
        found = "adapter"
    elif has("config.yaml"):
        found = "run"
    if found is None:
        raise InputError(
            f"hub push {folder}: expected a feature store (manifest.json), an adapter (adapt.yaml, export.json or "
            "adapter_config.json) or a run (config.yaml)"
        )
    return KINDS[found]
