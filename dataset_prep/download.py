"""Downloads of large files: resumed after an interruption, retried with growing pauses, verified, renamed when complete."""

import hashlib
import logging
import os
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any, Optional, Union
from urllib.error import HTTPError, URLError
from urllib.request import Request

from dataset_prep.web import open_url, reason_of
from recbole_sda.errors import InputError
from recbole_sda.io.atomic_write import named_errors
from recbole_sda.io.progress import Progress

logger = logging.getLogger(__name__)

AGENT = "recbole-sda (research data preparation)"
RETRY_STATUS = {408, 425, 429, 500, 502, 503, 504}  # answers after which another try may succeed
CHUNK = 1 << 18
PAUSE = 1.0  # seconds before the second try; doubled for each further one


def download(
    url: str, path: Union[str, Path], checksum: Optional[str] = None, tries: int = 6, timeout: float = 60
) -> Path:
    """Fetch a file to ``path`` and return the path.

    A complete file is not fetched again. A partial one (``<path>.part``) is continued.

    Args:
        url: http or https, chosen by this package or by the user; data do not choose it.
        path: of the file.
        checksum: ``sha256:...`` or ``md5:...`` of the complete file, where the source publishes one.
        tries: in a row without new data, before it gives up.
        timeout: seconds without an answer.

    Raises:
        InputError: the server refuses, the tries are used up, or the checksum differs.
    """
    path = Path(path)
    if path.is_file():
        _verify(path, url, checksum)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part, failed = path.with_name(path.name + ".part"), 0
    while True:
        before = _size(part)
        try:
            _fetch(url, part, timeout)
            break
        except HTTPError as error:
            if error.code not in RETRY_STATUS:
                raise InputError(f"{url}: {reason_of(error)}") from None
            reason, pause = reason_of(error), _retry_after(error)
        except (URLError, HTTPException, OSError, ValueError) as error:
            if getattr(error, "filename", None):  # of this machine's disk, not of the server
                raise
            reason, pause = reason_of(error), None
        failed = failed + 1 if _size(part) == before else 1
        if failed >= tries:
            raise InputError(f"{url}: given up after {failed} tries ({reason}); the same command continues {part}")
        pause = PAUSE * 2 ** (failed - 1) if pause is None else pause
        logger.warning("%s: %s; next try in %.0f s", url, reason, pause)
        time.sleep(pause)
    _verify(part, url, checksum)
    os.replace(part, path)
    return path


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _fetch(url: str, part: Path, timeout: float) -> None:
    """Append the missing bytes of a file to ``part``, or write it anew if the server does not support ranges."""
    size = _size(part)
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    if size:
        headers["Range"] = f"bytes={size}-"
    try:
        with open_url(
            Request(url, headers=headers), timeout, private=True
        ) as answer:  # the user, or this package, chose it
            _append(answer, part, size)
    except HTTPError as error:
        if error.code != 416 or not size:
            raise
        complete = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        if complete != str(size):  # no bytes after these, and not because the file is complete
            part.unlink()
            raise OSError("the file on the server has changed; starting again") from None


def _append(answer: Any, part: Path, size: int) -> None:
    """Write an answer to ``part``: from byte ``size`` on, or anew where it is the whole file."""
    start = 0
    if answer.status == 206:
        start = int((answer.headers.get("Content-Range") or "bytes 0-").split()[1].partition("-")[0])
        if start != size:
            raise OSError(f"requested the file from byte {size}, the server sends it from byte {start}")
    length = answer.headers.get("Content-Length")
    total = start + int(length) if length else None
    with (
        open(part, "ab" if start else "wb") as file,
        Progress(total, part.name[:-5], "bytes", start, scale=True) as bar,
    ):
        while chunk := answer.read(CHUNK):
            with named_errors(part):
                file.write(chunk)
                file.flush()
            bar.update(len(chunk))
    if total is not None and _size(part) < total:
        raise OSError(f"connection closed after {_size(part):,} of {total:,} bytes")


def _retry_after(error: HTTPError) -> Optional[float]:
    """Return the seconds that a server asks to wait for, at most two minutes; None if it does not ask."""
    value = error.headers.get("Retry-After") or ""
    return min(float(value), 120.0) if value.replace(".", "", 1).isdigit() else None


def _verify(path: Path, url: str, checksum: Optional[str]) -> None:
    if checksum is None:
        return
    kind, _, expected = checksum.partition(":")
    with open(path, "rb") as file:
        actual = hashlib.file_digest(file, kind).hexdigest()
    if actual != expected:
        raise InputError(f"{path} ({url}) has {kind} {actual}, not {expected}; remove it to fetch it again")
