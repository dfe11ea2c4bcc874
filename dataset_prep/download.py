"""Downloads that can be cut off: resumed where they stopped, tried again with growing pauses, checked, renamed when whole."""

import hashlib
import logging
import os
import time
from http.client import HTTPException
from pathlib import Path
from typing import Optional
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from recbole_sda.errors import InputError

logger = logging.getLogger(__name__)

AGENT = "recbole-sda (research data preparation)"
AGAIN = {408, 425, 429, 500, 502, 503, 504}  # answers after which another try may help
CHUNK = 1 << 18
PAUSE = 1.0  # seconds before the second try; doubled for each further one


def download(url: str, path, checksum: Optional[str] = None, tries: int = 6, timeout: float = 60) -> Path:
    """Fetch a file to ``path``; a file that is there whole is left alone, a partial one (``.part``) is gone on with.

    Args:
        url: http or https.
        path: where it goes.
        checksum: ``sha256:...`` or ``md5:...`` of the whole file, where the source gives one.
        tries: before it gives up; every try that brings something new starts the count again.
        timeout: seconds without an answer.

    Raises:
        InputError: the server refuses, the tries are used up, or the checksum does not fit.
    """
    path = Path(path)
    if path.is_file():
        _check(path, url, checksum)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part, failed = path.with_name(path.name + ".part"), 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            _fetch(url, part, timeout)
            break
        except HTTPError as error:
            if error.code not in AGAIN:
                raise InputError(f"{url}: the server answers {error.code} {error.reason}") from None
            reason, pause = f"{error.code} {error.reason}", _retry_after(error)
        except (URLError, HTTPException, OSError) as error:
            reason, pause = str(getattr(error, "reason", error)) or type(error).__name__, None
        failed = failed + 1 if (part.stat().st_size if part.is_file() else 0) == before else 1
        if failed >= tries:
            raise InputError(f"{url}: given up after {failed} tries ({reason}); the same command goes on from {part}")
        pause = PAUSE * 2 ** (failed - 1) if pause is None else pause
        logger.warning("%s: %s; again in %.0f s", url, reason, pause)
        time.sleep(pause)
    _check(part, url, checksum)
    os.replace(part, path)
    return path


def _fetch(url: str, part: Path, timeout: float) -> None:
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        answer = urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        if error.code == 416 and have:  # nothing lies beyond what is there: whole, or another file by now
            whole = (error.headers.get("Content-Range") or "").rpartition("/")[2]
            if whole == str(have):
                return
            part.unlink()
            raise OSError("the file on the server has changed; starting anew") from None
        raise
    with answer:
        start = 0
        if answer.status == 206:
            start = int((answer.headers.get("Content-Range") or "bytes 0-").split()[1].partition("-")[0])
            if start != have:
                raise OSError(f"asked for the file from {have} on, the server sends it from {start} on")
        size = answer.headers.get("Content-Length")
        total = start + int(size) if size else None
        with open(part, "ab" if start else "wb") as file:
            with tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.name[:-5], leave=False) as bar:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise OSError(f"broke off after {part.stat().st_size:,} of {total:,} bytes")


def _retry_after(error: HTTPError) -> Optional[float]:
    """Return the seconds that a server asks to wait for, at most two minutes."""
    value = error.headers.get("Retry-After") or ""
    return min(float(value), 120.0) if value.replace(".", "", 1).isdigit() else None


def _check(path: Path, url: str, checksum: Optional[str]) -> None:
    if checksum is None:
        return
    kind, _, expected = checksum.partition(":")
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, kind).hexdigest()
    if found != expected:
        raise InputError(f"{path} ({url}) has {kind} {found}, not {expected}; remove it to fetch it again")
