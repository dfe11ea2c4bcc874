"""Push: a folder is packed, described by a card, and uploaded as one commit."""

import logging
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

from recbole_sda.errors import InputError
from recbole_sda.hub.card import card_text, check_license
from recbole_sda.hub.pack import pack
from recbole_sda.hub.package import CARD, INDEX, KINDS, Package, index_text, read_index
from recbole_sda.io.hub import HubName, hub_api, hub_errors, hub_library, list_files, parse_hub_name

logger = logging.getLogger(__name__)

ACTION = "hub push"


def push(
    folder: Union[str, Path],
    repo: str,
    private: bool = False,
    license_name: Optional[str] = None,
    revision: Optional[str] = None,
    message: Optional[str] = None,
    comparison: Optional[Union[str, Path]] = None,
) -> str:
    """Upload a feature store, an adapter or a run with a card; the repository is created where it is missing.

    Files of an earlier push that the new one lacks are removed in the same commit; other files stay. The card is written anew.

    Args:
        folder: the folder, see :func:`recbole_sda.hub.pack.pack`.
        repo: ``owner/name``.
        private: whether a new repository is private. One that exists keeps its visibility.
        license_name: identifier of the license on the Hub, as ``cc-by-4.0``.
        revision: branch; it is created where it is missing. None: the default branch.
        message: of the commit.
        comparison: folder of a comparison that the run belongs to; None: the one that its folder is in, if any.

    Returns:
        ``hf://owner/name@commit``.

    Raises:
        InputError: the folder cannot be packed, a name is wrong, or the Hub refuses it or cannot be reached.
    """
    name, license_name = parse_hub_name("hub push", repo), check_license(license_name)
    if name.revision:
        raise InputError(f"hub push {repo}: the branch is given by --revision")
    if revision is not None:
        name = parse_hub_name("--revision", f"{name.repo}@{revision}")
    with tempfile.TemporaryDirectory(prefix="recbole_sda") as scratch:
        package = pack(Path(folder), Path(scratch), Path(comparison) if comparison else None)
        card = card_text(package, name.repo, license_name)
        if license_name is None:
            logger.warning("no license is given: others may not use the files; --license=NAME names one")
        if hub_library().get_token() is None:
            raise InputError(f"{ACTION} {repo}: no token: `hf auth login` stores one, or set the variable HF_TOKEN")
        with hub_errors(name, ACTION):
            commit = _upload(name, package, card, private, message)
    return str(HubName(name.repo, commit))


def preview(folder: Union[str, Path], repo: str, license_name: Optional[str], comparison: Optional[str]) -> str:
    """Return the card that :func:`push` would upload, without any connection."""
    name, license_name = parse_hub_name("hub push", repo), check_license(license_name)
    with tempfile.TemporaryDirectory(prefix="recbole_sda") as scratch:
        return card_text(
            pack(Path(folder), Path(scratch), Path(comparison) if comparison else None), name.repo, license_name
        )


def _upload(name: HubName, package: Package, card: str, private: bool, message: Optional[str]) -> str:
    """Create the repository and the branch where they are missing, commit the files, and return the commit."""
    api, repo_type = hub_api(), package.kind.repo_type
    api.create_repo(name.repo, repo_type=repo_type, private=private, exist_ok=True)
    if name.revision:
        api.create_branch(name.repo, branch=name.revision, repo_type=repo_type, exist_ok=True)
    files: Dict[str, Union[Path, bytes]] = {
        **package.files,
        INDEX: index_text(package.index).encode(),
        CARD: card.encode(),
    }
    library = hub_library()
    operations: List[Any] = [library.CommitOperationDelete(file) for file in _left_over(name, package)]
    operations += [
        library.CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
        for path, content in files.items()
    ]
    summary = message or f"Push a package of the kind {package.kind.name}"
    info = api.create_commit(name.repo, operations, commit_message=summary, repo_type=repo_type, revision=name.revision)
    return str(info.oid)


def _left_over(name: HubName, package: Package) -> List[str]:
    """Return the files of an earlier push that this one does not have.

    Raises:
        InputError: the repository has a package of another kind.
    """
    repo_type = package.kind.repo_type
    _, there = list_files(name, repo_type)
    if INDEX not in there:
        return []
    path = hub_library().hf_hub_download(
        name.repo, INDEX, repo_type=repo_type, revision=name.revision, endpoint=hub_api().endpoint
    )
    index = read_index(Path(path), name)
    if KINDS[index["kind"]] is not package.kind:
        raise InputError(
            f"{ACTION} {name.repo}: the repository has a package of the kind {index['kind']}, not {package.kind.name}; choose "
            "another name"
        )
    return [file for file in index["sha256"] if file in there and file not in package.files]
