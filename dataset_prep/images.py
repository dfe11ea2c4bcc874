"""Pictures of items: fetched politely or taken from a folder, verified, shrunk; every failure with its reason."""

import hashlib
import io
import json
import logging
import math
import os
import re
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from dataset_prep.download import AGAIN, AGENT
from recbole_sda.io.images import to_upright_rgb
from recbole_sda.io.text import read_json_lines

logger = logging.getLogger(__name__)

FAILURES, SOURCES = "failures.jsonl", "sources.jsonl"
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp"}


class Options(NamedTuple):
    """How pictures are fetched.

    Attributes:
        max_pixels: area to which larger pictures are shrunk; None keeps them as they are.
        workers: pictures at once.
        per_second: requests to one host, at most.
        max_bytes: largest file.
        timeout: seconds without an answer.
        tries: per picture.
        pause: seconds before the second try, doubled for each further one.
    """

    max_pixels: Optional[int] = None
    workers: int = 8
    per_second: float = 10.0
    max_bytes: int = 20 << 20
    timeout: float = 20.0
    tries: int = 3
    pause: float = 1.0


class Failure(Exception):
    """A picture that cannot be had, with the reason."""


class _Pace:
    """Keeps the requests to each host apart by a fixed time."""

    def __init__(self, per_second: float):
        self.apart, self.next, self.lock = 1 / per_second, defaultdict(float), threading.Lock()

    def wait(self, host: str) -> None:
        with self.lock:
            now = time.monotonic()
            at = max(now, self.next[host])
            self.next[host] = at + self.apart
        time.sleep(max(at - now, 0))


def fetch_images(
    sources: Dict[str, Sequence[str]], folder, options: Options = Options()
) -> Tuple[Dict[str, str], List[dict]]:
    """Bring the pictures of items into a folder; those that are there already, of the same source and size, stay as they are.

    Args:
        sources: item id -> addresses (http, https) or paths of its picture, the first that works is taken.
        folder: where they go, one file per item; ``sources.jsonl`` there says where each is from, ``failures.jsonl`` what could
            not be had.
        options: see :class:`Options`.

    Returns:
        Item id -> file name in the folder; and the failures: item id, source and reason.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for draft in folder.glob(".*.part"):  # of a run that was killed
        draft.unlink()
    names = file_stems(sources)
    there = {path.stem: path.name for path in folder.iterdir() if path.suffix in SUFFIXES.values()}
    known = {note["item_id"]: note for note in read_json_lines(folder / SOURCES)}
    found = {
        item: there[stem]
        for item, stem in names.items()
        if stem in there and _still_wanted(known.get(item), sources[item], options)
    }
    missing = [item for item, given in sources.items() if item not in found and given]
    pace, failures = _Pace(options.per_second), []
    pool = ThreadPoolExecutor(options.workers)
    try:
        work = pool.map(lambda item: _one(sources[item], folder, names[item], options, pace), missing)
        with open(folder / SOURCES, "w", encoding="utf-8") as log:
            log.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in known.values())
            for item, (name, source, failed) in zip(
                missing, tqdm(work, total=len(missing), desc="pictures", unit="picture")
            ):
                if name is None:
                    failures += [{"item_id": item, "source": source, "reason": reason} for source, reason in failed]
                    continue
                for old in {there.get(names[item]), name} - {None, name}:  # of another format
                    (folder / old).unlink()
                found[item] = name
                line = {"item_id": item, "source": source, "max_pixels": options.max_pixels}
                log.write(json.dumps(line, ensure_ascii=False) + "\n")
    finally:
        pool.shutdown(cancel_futures=True)
    text = "".join(json.dumps(failure, ensure_ascii=False) + "\n" for failure in failures)
    (folder / FAILURES).write_text(text, encoding="utf-8")
    return found, failures


def file_stems(items) -> Dict[str, str]:
    """Return a file name for each id, without its ending: safe on every system, and different for different ids.

    What another selection of items leaves in the folder is never taken for another item's: an id that is no file name, or
    that differs from another one in case alone, ends with a hash of its own.
    """
    same = Counter(item.lower() for item in items)
    stems = {}
    for item in items:
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", item)[:100]
        plain = stem == item and same[item.lower()] == 1
        stems[item] = stem if plain else f"{stem}~{hashlib.sha256(item.encode()).hexdigest()[:12]}"
    return stems


def _still_wanted(known: Optional[dict], sources: Sequence[str], options: Options) -> bool:
    """Return whether a picture that is there is what would be fetched; of one that came another way nothing is known."""
    return known is None or (known["source"] in sources and known["max_pixels"] == options.max_pixels)


def _one(sources: Sequence[str], folder: Path, stem: str, options: Options, pace: _Pace):
    """Return the file name of the first source that works and the source, or None twice; and what failed on the way."""
    failed = []
    for source in sources:
        try:
            content = _read(source, options, pace)
            return _store(content, folder, stem, options.max_pixels), source, failed
        except Failure as failure:
            failed.append((source, str(failure)))
    return None, None, failed


def _read(source: str, options: Options, pace: _Pace) -> bytes:
    if not source.startswith(("http://", "https://")):
        try:
            if os.path.getsize(source) > options.max_bytes:
                raise Failure(f"larger than {options.max_bytes:,} bytes")
            return Path(source).read_bytes()
        except OSError as error:
            raise Failure(error.strerror or str(error)) from None
    for number in range(options.tries):
        try:
            pace.wait(urlsplit(source).netloc)
            return _get(source, options)
        except HTTPError as error:
            reason = f"the server answers {error.code} {error.reason}"
            if error.code not in AGAIN:
                raise Failure(reason) from None
        except TimeoutError:
            reason = f"no answer in {options.timeout:g} s"
        except (URLError, HTTPException, OSError, ValueError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        if number + 1 < options.tries:
            time.sleep(options.pause * 2**number)
    raise Failure(f"{reason}, {options.tries} tries")


def _get(url: str, options: Options) -> bytes:
    with urlopen(Request(url, headers={"User-Agent": AGENT}), timeout=options.timeout) as answer:
        size = answer.headers.get("Content-Length")
        if size and int(size) > options.max_bytes:
            raise Failure(f"larger than {options.max_bytes:,} bytes")
        content = answer.read(options.max_bytes + 1)
    if len(content) > options.max_bytes:
        raise Failure(f"larger than {options.max_bytes:,} bytes")
    if size and len(content) < int(size):
        raise OSError(f"broke off after {len(content):,} of {int(size):,} bytes")
    return content


def _store(content: bytes, folder: Path, stem: str, max_pixels: Optional[int]) -> str:
    """Verify a picture and write it; the file appears whole or not at all."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            kind, size = image.format, image.size
            image.load()
            if kind not in SUFFIXES or (max_pixels is not None and size[0] * size[1] > max_pixels):
                content, kind = _jpeg(image, max_pixels), "JPEG"
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        start = content[:40].decode("latin-1").strip()
        raise Failure(f"not a whole picture ({type(error).__name__}); it begins {start!r}") from None
    name = stem + SUFFIXES[kind]
    draft = folder / f".{name}.part"
    draft.write_bytes(content)
    os.replace(draft, folder / name)
    return name


def _jpeg(image: Image.Image, max_pixels: Optional[int]) -> bytes:
    image = to_upright_rgb(image)
    width, height = image.size
    scale = min(1.0, math.sqrt((max_pixels or width * height) / (width * height)))
    size = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
    out = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(out, "JPEG", quality=90)
    return out.getvalue()
