"""Pull: the files of a package are downloaded, compared with its index, and written as a folder that all commands read."""

import shutil
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

from recbole_sda.engine.run_folder import CONFIG, read_metrics, write_config
from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.features.store_choice import keep_default
from recbole_sda.hub.package import BEST_REST, BEST_TENSORS, CARD, INDEX, KINDS, read_index
from recbole_sda.io.atomic_folder import atomic_folder
from recbole_sda.io.checkpoint import BEST, save_checkpoint
from recbole_sda.io.hashes import sha256_of
from recbole_sda.io.hub import GIB, LIMIT, HubName, Snapshot, check_hash, fetch, parse_hub_name
from recbole_sda.io.safe_checkpoint import read_safe_checkpoint
from recbole_sda.io.tensors import open_tensors
from recbole_sda.io.yaml import read_yaml
from recbole_sda.validation import POSITIVE

MAX_INDEX = 1 << 20  # bytes of the index and the card
ACTION = "hub pull"
REPO_TYPES = tuple(dict.fromkeys(kind.repo_type for kind in KINDS.values()))


def pull(
    repo: str,
    out: Optional[Union[str, Path]] = None,
    data_path: Optional[str] = None,
    max_gib: float = LIMIT / GIB,
) -> Path:
    """Download a package of the Hub and return its folder.

    A run becomes a run folder that ``--load``, ``recommend``, ``export`` and :func:`recbole_sda.load` take; it is not resumed,
    because the state of its optimizer is not part of it.

    Args:
        repo: ``owner/name`` or ``owner/name@revision``.
        out: folder to write; None: the repository's name, in the present folder.
        data_path: of a run: folder of the data sets, in place of the one in its configuration.
        max_gib: largest size of its files, in GiB.

    Raises:
        InputError: the name is wrong, there is no such package, ``out`` exists, a file has another hash than the index, or the
            Hub cannot be reached and the cache lacks files.
    """
    name = parse_hub_name("repository", repo)
    limit = int(POSITIVE.check("--max-gib", max_gib) * GIB)
    folder = Path(out) if out else Path(name.repo.partition("/")[2])
    if folder.exists():
        raise InputError(f"{folder} exists already: choose another --out, or remove it")
    repo_type, commit, index = _find(name)
    if data_path is not None and index["kind"] != "run":
        raise InputError(f"--data-path: {name} is of the kind {index['kind']}, not a run")
    pinned = HubName(name.repo, commit)
    snapshot = fetch(pinned, repo_type, [CARD, *index["sha256"]], limit)
    with atomic_folder(folder) as draft:
        _copy(snapshot, index, draft, pinned)
        try:
            _check(draft, index["kind"], data_path)
        except InputError as error:  # the draft that it names is removed
            raise InputError(f"{name}: {str(error).replace(f'{draft}/', '')}") from None
    if index["kind"] == "features":
        keep_default(folder)
    return folder


def _find(name: HubName) -> tuple:
    """Return the type of a repository, its commit, and its index; a model is looked for first."""
    failures: List[str] = []
    for repo_type in REPO_TYPES[::-1]:
        try:
            snapshot = fetch(name, repo_type, [INDEX], MAX_INDEX)
        except InputError as error:
            failures.append(str(error))
            continue
        check_hash(snapshot.folder / INDEX)
        index = read_index(snapshot.folder / INDEX, name)
        if KINDS[index["kind"]].repo_type == repo_type:
            return repo_type, snapshot.commit, index
        failures.append(f"{ACTION} {name.repo}: a {repo_type} with the kind {index['kind']}")
    no_such = "no such repository"
    raise InputError(next((text for text in failures if no_such not in text), failures[0]))


def _copy(snapshot: Snapshot, index: Dict[str, Any], draft: Path, name: HubName) -> None:
    """Copy the files of an index, each with the hash that the index has of it, and the card."""
    for file, expected in index["sha256"].items():
        target = draft / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(snapshot.folder / file, target)
        if sha256_of(target) != expected:
            blob = (snapshot.folder / file).resolve()
            raise InputError(
                f"{name}: {file} is damaged or changed: its SHA-256 is not the one of {INDEX}; remove {blob} to download it again"
            )
    check_hash(snapshot.folder / CARD)
    shutil.copyfile(snapshot.folder / CARD, draft / CARD)
    shutil.copyfile(snapshot.folder / INDEX, draft / INDEX)


def _check(draft: Path, kind: str, data_path: Optional[str]) -> None:
    """Read what was downloaded as its kind is read; a run is made a run folder first."""
    if kind == "run":
        _make_run(draft, data_path)
    elif kind == "features":
        FeatureStore(draft)
    else:
        for weights in draft.rglob("*.safetensors"):
            open_tensors(weights)


def _make_run(draft: Path, data_path: Optional[str]) -> None:
    """Turn the files of a run into a run folder: its weights become the checkpoint of the best epoch."""
    tensors, rest = draft / BEST_TENSORS, draft / BEST_REST
    save_checkpoint(draft / BEST, read_safe_checkpoint(tensors, rest))
    tensors.unlink()
    rest.unlink()
    read_metrics(draft)
    if data_path is not None:
        settings = {**read_yaml(draft / CONFIG), "data_path": data_path}
        write_config(draft, settings)
