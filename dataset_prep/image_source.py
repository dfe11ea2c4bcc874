"""One image from an address or a path: read with retries at a limited rate, verified, shrunk, written atomically."""

import io
import math
import os
import threading
import time
from collections import defaultdict
from http.client import HTTPException
from pathlib import Path
from typing import Dict, NamedTuple, Optional
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request

from PIL import Image

from dataset_prep.download import AGENT, RETRY_STATUS
from dataset_prep.web import RefusedAddress, open_url, reason_of
from recbole_sda.io.atomic_write import named_errors
from recbole_sda.io.images import UnreadableImage, open_image, to_upright_rgb

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp"}


class ImageOptions(NamedTuple):
    """How images are fetched.

    Attributes:
        max_pixels: area to which larger images are shrunk; None keeps their size.
        workers: images fetched in parallel.
        per_second: requests to one host, at most.
        max_bytes: largest file.
        timeout: seconds without an answer.
        tries: per image.
        pause: seconds before the second try, doubled for each further one.
        deadline: seconds for an image as a whole, all tries together.
        private: whether servers may have addresses of this machine or of private networks.
        folder: from which files are read; None reads none.
    """

    max_pixels: Optional[int] = None
    workers: int = 8
    per_second: float = 10.0
    max_bytes: int = 20 << 20
    timeout: float = 20.0
    tries: int = 3
    pause: float = 1.0
    deadline: float = 60.0
    private: bool = False
    folder: Optional[Path] = None


class FetchError(Exception):
    """An image cannot be fetched or read; the message is the reason."""


class RateLimit:
    """A minimum time between two requests to the same host, shared by threads."""

    def __init__(self, per_second: float) -> None:
        self.interval, self.lock = 1 / per_second, threading.Lock()
        self.next_time: Dict[str, float] = defaultdict(float)

    def wait(self, host: str) -> None:
        """Wait until the next request to a host is allowed."""
        with self.lock:
            now = time.monotonic()
            start = max(now, self.next_time[host])
            self.next_time[host] = start + self.interval
        time.sleep(max(start - now, 0))


def read_source(source: str, options: ImageOptions, limit: RateLimit) -> bytes:
    """Return the content of an address (http, https), or of a file in the folder that the user gave.

    Raises:
        FetchError: it cannot be read, is too large, or all tries failed.
    """
    if not source.lower().startswith(("http://", "https://")):
        return _read_file(source, options)
    try:
        host = urlsplit(source).netloc
    except ValueError as error:
        raise FetchError(str(error)) from None
    reason, until = "", time.monotonic() + options.deadline
    for number in range(options.tries):
        try:
            limit.wait(host)
            return _get(source, options, until)
        except HTTPError as error:
            reason = reason_of(error)
            if error.code not in RETRY_STATUS:
                raise FetchError(reason) from None
        except RefusedAddress as error:
            raise FetchError(f"{error}; --private-addresses allows them") from None
        except TimeoutError:
            reason = f"no answer in {options.timeout:g} s"
        except (URLError, HTTPException, OSError, ValueError) as error:
            reason = reason_of(error)
        if time.monotonic() >= until:
            raise FetchError(f"no complete answer in {options.deadline:g} s")
        if number + 1 < options.tries:
            time.sleep(options.pause * 2**number)
    raise FetchError(f"{reason}, {options.tries} tries")


def _read_file(path: str, options: ImageOptions) -> bytes:
    """Return the content of a file in the folder that the user gave; a path in the data names no other file."""
    if options.folder is None:
        raise FetchError("neither http nor https; files are read from the folder that --images names")
    if os.path.commonpath([os.path.abspath(options.folder), os.path.abspath(path)]) != os.path.abspath(options.folder):
        raise FetchError(f"a path outside of --images={options.folder}")
    try:
        if os.path.getsize(path) > options.max_bytes:
            raise FetchError(_too_large(options))
        if not os.path.isfile(path):
            raise FetchError("not a file")
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise FetchError(getattr(error, "strerror", None) or str(error)) from None


def _get(url: str, options: ImageOptions, until: float) -> bytes:
    request = Request(url, headers={"User-Agent": AGENT})
    with open_url(request, options.timeout, options.private, until) as answer:
        length = answer.headers.get("Content-Length") or ""
        size = int(length) if length.isdecimal() else None
        if size is not None and size > options.max_bytes:
            raise FetchError(_too_large(options))
        content: bytes = answer.read(options.max_bytes + 1)
    if len(content) > options.max_bytes:
        raise FetchError(_too_large(options))
    if time.monotonic() >= until:  # the answer was ended
        raise TimeoutError
    if size is not None and len(content) < size:
        raise OSError(f"connection closed after {len(content):,} of {size:,} bytes")
    return content


def _too_large(options: ImageOptions) -> str:
    return f"larger than {options.max_bytes:,} bytes"


def write_image(content: bytes, folder: Path, stem: str, max_pixels: Optional[int]) -> str:
    """Verify an image by decoding it, write it atomically, and return the name of its file in ``folder``.

    The content is written unchanged, unless the image is larger than ``max_pixels`` or in a format other than those of
    ``SUFFIXES``: it is then written as JPEG.

    Raises:
        FetchError: the content is not a complete image.
    """
    try:
        with open_image(content) as image:
            kind, size = str(image.format), image.size
            rgb = to_upright_rgb(image)
    except UnreadableImage as error:
        raise FetchError(f"not a complete image ({error})") from None
    if kind not in SUFFIXES or (max_pixels is not None and size[0] * size[1] > max_pixels):
        content, kind = _to_jpeg(rgb, max_pixels), "JPEG"
    name = stem + SUFFIXES[kind]
    draft = folder / f".{name}.part"
    with named_errors(folder / name):
        draft.write_bytes(content)
        os.replace(draft, folder / name)
    return name


def _to_jpeg(image: Image.Image, max_pixels: Optional[int]) -> bytes:
    width, height = image.size
    scale = min(1.0, math.sqrt((max_pixels or width * height) / (width * height)))
    size = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
    out = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(out, "JPEG", quality=90)
    return out.getvalue()
