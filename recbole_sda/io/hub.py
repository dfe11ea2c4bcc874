"""Repositories of the Hugging Face Hub: their names, downloads of expected files, and errors on one line.

Downloads go through the cache of huggingface_hub, from which they are read without a network. The library names a file of its
cache after the file's hash, SHA-256 for large files and git's for others, and :func:`check_hash` compares the content with it.
"""

import hashlib
import logging
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from recbole_sda.errors import InputError, one_line, plain_message
from recbole_sda.io.hashes import sha256_of

logger = logging.getLogger(__name__)

PREFIX = "hf://"
GIB = 1 << 30
LIMIT = 64 * GIB  # of the files of a download
SECONDS = 20.0  # that the Hub has to answer a question about a repository
_PART = r"\w(?:[\w.-]*\w)?"
_NAME = re.compile(rf"(?P<repo>{_PART}/{_PART})(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")


class HubName(NamedTuple):
    """A repository, and a branch, tag or commit of it.

    Attributes:
        repo: ``owner/name``.
        revision: None: the default branch.
    """

    repo: str
    revision: Optional[str] = None

    def __str__(self) -> str:
        return f"{PREFIX}{self.repo}" + (f"@{self.revision}" if self.revision else "")


class Snapshot(NamedTuple):
    """Files of a repository at one commit, in the cache.

    Attributes:
        folder: their folder.
        commit: the commit.
    """

    folder: Path
    commit: str


def is_hub_name(text: Any) -> bool:
    """Return whether a value is meant as the name of a repository, ``hf://...``."""
    return isinstance(text, str) and text.startswith(PREFIX)


def parse_hub_name(what: str, text: str) -> HubName:
    """Return the name in ``owner/name``, ``owner/name@revision``, or either of them after ``hf://``.

    Args:
        what: key or option, for the message.
        text: the name.

    Raises:
        InputError: it is none.

    Example:
        >>> parse_hub_name("features", "hf://shop/vectors@v1")
        HubName(repo='shop/vectors', revision='v1')
        >>> parse_hub_name("features", "hf://vectors")
        Traceback (most recent call last):
        recbole_sda.errors.InputError: features='hf://vectors': expected owner/name or owner/name@revision of a repository on the \
Hugging Face Hub
    """
    found = _NAME.fullmatch(text.removeprefix(PREFIX))
    if (
        not found
        or len(found["repo"]) > 96
        or re.search(r"\.\.|--", found["repo"])
        or ".." in (found["revision"] or "")
    ):
        raise InputError(
            f"{what}={text[:120]!r}: expected owner/name or owner/name@revision of a repository on the Hugging Face Hub"
        )
    return HubName(found["repo"], found["revision"])


def hub_library() -> Any:
    """Return the module huggingface_hub; an InputError where it is not installed."""
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise InputError("the Hugging Face Hub needs huggingface_hub: pip install 'recbole-sda[hub]'") from None
    for client in ("httpx", "httpx2"):  # a line per request
        logging.getLogger(client).setLevel(logging.WARNING)
    return huggingface_hub


def endpoint() -> Optional[str]:
    """Return the address of the Hub where the variable HF_ENDPOINT sets another than the public one."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def hub_api() -> Any:
    """Return the client of the Hub."""
    return hub_library().HfApi(endpoint=endpoint(), library_name="recbole-sda")


@contextmanager
def hub_errors(name: HubName, action: str) -> Iterator[None]:
    """Context manager in which errors of the Hub and of the network are InputErrors of one line, without access tokens.

    Args:
        name: the repository.
        action: what is done, for messages, such as ``hub pull``.
    """
    hub_library()
    from huggingface_hub import errors

    hint = "a token comes from `hf auth login` or the variable HF_TOKEN"
    try:
        yield
    except (errors.HFValidationError, errors.LocalTokenNotFoundError) as error:
        raise InputError(f"{action} {name.repo}: {_clean(error)}; {hint}") from None
    except errors.OfflineModeIsEnabled:
        raise InputError(f"{action} {name.repo}: HF_HUB_OFFLINE is set, and this needs the network") from None
    except errors.GatedRepoError:
        raise InputError(f"{action} {name.repo}: access to it must be asked for on its page; {hint}") from None
    except errors.RepositoryNotFoundError:
        raise InputError(f"{action} {name.repo}: there is no such repository, or it is private; {hint}") from None
    except errors.RevisionNotFoundError:
        raise InputError(f"{action} {name.repo}: there is no revision {name.revision or 'main'!r}") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise InputError(f"{action} {name.repo}: the Hub refuses it (status {status}): {hint}") from None
        raise InputError(f"{action} {name.repo}: the Hub answers with an error ({_clean(error)})") from None
    except InputError:
        raise
    except Exception as error:
        if _is_connection(error):
            raise InputError(f"{action} {name.repo}: the Hub cannot be reached ({_clean(error)})") from None
        if type(error).__module__.startswith("huggingface_hub"):
            raise InputError(f"{action} {name.repo}: {_clean(error)}") from None
        if isinstance(error, (OSError, MemoryError)):
            raise
        reason = _clean(
            ValueError(plain_message(error))
        )  # of the library, where the answer is a web page or lacks a value
        raise InputError(f"{action} {name.repo}: the answer is not one of the Hub ({reason})") from None


def _is_connection(error: BaseException) -> bool:
    """Return whether an error is one of the network: of the library, or of the HTTP client below it, httpx or its successor."""
    own = any(kind.__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore") for kind in type(error).__mro__)
    return own or isinstance(error, (ConnectionError, TimeoutError))


def _clean(error: BaseException) -> str:
    return re.sub(r"\bhf_\w+", "hf_***", one_line(error, 300))


def list_files(name: HubName, repo_type: str) -> Tuple[str, Dict[str, int]]:
    """Return the commit of a revision, and the size in bytes of each of its files; errors as in :func:`hub_errors`."""
    info = hub_api().repo_info(
        name.repo, repo_type=repo_type, revision=name.revision, files_metadata=True, timeout=SECONDS
    )
    return str(info.sha), {file.rfilename: int(file.size or 0) for file in info.siblings or ()}


def fetch(
    name: HubName, repo_type: str, files: Sequence[str], limit: int = LIMIT, action: str = "hub pull"
) -> Snapshot:
    """Return named files of a repository from the cache, to which they are downloaded where necessary.

    A commit that is in the cache needs no network. For a branch or tag, the Hub is asked; where it cannot be reached, the files
    that the cache has of it are used.

    Args:
        name: the repository.
        repo_type: model or dataset.
        files: paths of the files, all needed.
        limit: largest size of all files in bytes.
        action: for messages.

    Raises:
        InputError: the repository, revision or a file is not there, the files are larger than ``limit``, or neither the Hub nor
            the cache has them.
    """
    hub_library()
    from huggingface_hub import constants

    offline = constants.is_offline_mode()
    cached = _cached(name, repo_type, files)
    if cached is not None and (offline or COMMIT.fullmatch(name.revision or "")):
        return cached
    if offline:
        raise InputError(f"{action} {name.repo}: HF_HUB_OFFLINE is set and the cache does not have all files of it")
    with hub_errors(name, action):
        try:
            commit, sizes = list_files(name, repo_type)
        except Exception as error:
            if cached is None or not _is_connection(error):
                raise
            logger.warning("%s: the Hub cannot be reached; the cached commit %s is used", name, cached.commit)
            return cached
        _check_files(name, commit, sizes, files, limit, action)
        _download(name, repo_type, files[:1], name.revision)  # so that the cache knows the commit of the branch
        folder = _download(name, repo_type, files, commit)
    return Snapshot(folder, commit)


def _check_files(
    name: HubName, commit: str, sizes: Dict[str, int], files: Sequence[str], limit: int, action: str
) -> None:
    missing = [file for file in files if file not in sizes]
    if missing:
        raise InputError(f"{action} {name.repo}: commit {commit[:12]} has no {missing[0]}")
    total = sum(sizes[file] for file in files)
    if total > limit:
        raise InputError(f"{action} {name.repo}: its files have {total:,} bytes, more than the limit of {limit:,}")


def _download(name: HubName, repo_type: str, files: Sequence[str], revision: Optional[str]) -> Path:
    """Download files and return the folder of the commit in the cache."""
    download = hub_library().hf_hub_download
    arguments: Dict[str, Any] = {"repo_type": repo_type, "revision": revision, "endpoint": endpoint()}
    paths = [Path(download(name.repo, file, **arguments)) for file in files]
    return paths[-1].parents[len(Path(files[-1]).parts) - 1]


def _cached(name: HubName, repo_type: str, files: Sequence[str]) -> Optional[Snapshot]:
    """Return the files where the cache has all of them."""
    found = hub_library().try_to_load_from_cache
    paths: List[Any] = [found(name.repo, file, repo_type=repo_type, revision=name.revision) for file in files]
    if not all(isinstance(path, str) for path in paths):
        return None
    folder = Path(paths[-1]).parents[len(Path(files[-1]).parts) - 1]
    return Snapshot(folder, folder.name)


def check_hash(path: Path) -> None:
    """Compare a file of the cache with the hash that is its name there; without links, there is no such name.

    Raises:
        InputError: the content is another one.
    """
    blob = path.resolve()
    if re.fullmatch("[0-9a-f]{64}", blob.name):
        found = sha256_of(blob)
    elif COMMIT.fullmatch(blob.name):
        content = blob.read_bytes()
        found = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    else:
        return
    if found != blob.name:
        raise InputError(f"{path} is damaged: its hash is not the one of the Hub; remove {blob} to download it again")
