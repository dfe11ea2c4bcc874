"""Generated raw files of the Amazon releases, and a server that fails in every way."""

import gzip
import io
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image


def image_bytes(size=(40, 30), kind="PNG") -> bytes:
    """The content of an image file."""
    out = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(out, kind)
    return out.getvalue()


class Answers(BaseHTTPRequestHandler):
    """By path: /ok.png, /redirect.png, /404.png, /busy.png (503 once), /slow.png, /text.png, /cut.png, /huge.png, /file."""

    content = bytes(range(256)) * 4000
    image = image_bytes()
    seen: Counter = Counter()
    ranges: list = []

    def log_message(self, *args):
        pass

    def _send(self, body, status=200, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path
        self.seen[path] += 1
        first = self.seen[path] == 1
        if path.startswith("/ok"):
            self._send(self.image)
        elif path.startswith("/redirect"):
            self._send(b"", 302, Location="/ok-redirected.png")
        elif path.startswith("/404"):
            self._send(b"gone", 404)
        elif path.startswith("/busy"):
            self._send(b"", 503, Retry_After="0") if first else self._send(self.image)
        elif path.startswith("/slow"):
            time.sleep(1.5)
            self._send(self.image)
        elif path.startswith("/text"):
            self._send(b"<html>sign in</html>")
        elif path.startswith("/cut"):
            self._send(self.image[:-300], length=len(self.image))
        elif path.startswith("/broken"):
            self._send(self.image[: len(self.image) // 2])
        elif path.startswith("/huge"):
            self._send(b"x" * 50_000)
        elif path.startswith("/big"):
            self._send(image_bytes((400, 300), "JPEG"))
        elif path.startswith("/file"):
            self._file(first)

    def _file(self, first):
        """/file: the first answer is incomplete, ranges work; /file-norange: ranges do not work; /file-stuck: always incomplete."""
        begin = int((self.headers.get("Range") or "bytes=0-").split("=")[1].rstrip("-"))
        self.ranges.append(begin)
        if "norange" in self.path:
            begin = 0
        if begin >= len(self.content):
            self._send(b"", 416, Content_Range=f"bytes */{len(self.content)}")
            return
        rest = self.content[begin:]
        extra = {"Content_Range": f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}"} if begin else {}
        short = rest[: len(rest) // 2] if first and "whole" not in self.path else rest
        self._send(b"" if "stuck" in self.path else short, 206 if begin else 200, len(rest), **extra)


@pytest.fixture
def server():
    """Address of the server; ``server.answers`` is its handler."""
    Answers.seen, Answers.ranges = Counter(), []
    running = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    address = type("Address", (str,), {"answers": Answers})(f"http://127.0.0.1:{running.server_port}")
    yield address
    running.shutdown()
    running.server_close()


def gz_lines(path, lines):
    """Write lines to a gzipped file."""
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)
    return path


@pytest.fixture
def raw(tmp_path):
    """A function: release -> review and metadata files of 20 users and 10 items whose 5-core is known.

    Users 0 to 9 have items 0 to 5 each: the 5-core, 10 users, 6 items, 60 interactions. Users 10 to 19 have 4 items each,
    among them 6 to 9. One review occurs twice.
    """

    def write(release: str, address: str = "http://127.0.0.1:9"):
        pairs = [(u, i) for u in range(10) for i in range(6)] + [
            (u, (u + k) % 10) for u in range(10, 20) for k in range(4)
        ]
        new = release == "2023"
        user, item = ("user_id", "parent_asin") if new else ("reviewerID", "asin")
        rating, stamp = ("rating", "timestamp") if new else ("overall", "unixReviewTime")
        scale = 1000 if new else 1
        rng = np.random.default_rng(0)
        reviews = [
            {user: f"U{u}", item: f"B{i}", rating: 1.0 + (u + i) % 5, stamp: (1_000_000 + 100 * k) * scale, "text": "é"}
            for k, (u, i) in enumerate(pairs)
        ]
        reviews = [reviews[k] for k in rng.permutation(len(reviews))] + [reviews[0]]
        items = [_metadata(release, k, item, f"{address}/ok-{k}.png") for k in range(9)]  # B9 has none
        folder = tmp_path / f"raw{release}"
        folder.mkdir()
        meta_lines = [repr(x) for x in items] if release == "2014" else [json.dumps(x) for x in items]
        return (
            gz_lines(folder / "reviews.json.gz", map(json.dumps, reviews)),
            gz_lines(folder / "meta.json.gz", meta_lines),
        )

    return write


INSTRUMENTS = (
    "drum",
    "flute",
    "violin",
    "harp",
    "horn",
    "lute",
    "oboe",
    "viola",
    "bell",
)  # no two items have the same text


def _metadata(release, k, item, address):
    record = {item: f"B{k}", "title": f"Tom&#39;s <b>{INSTRUMENTS[k]}</b>\n{k}"}
    if release == "2014":
        return {**record, "brand": "Acme", "categories": [["Music", "Drums & Co"]], "price": 9.5, "imUrl": address}
    if release == "2018":
        more = {
            "brand": "Acme",
            "category": ["Music", "Drums & Co"],
            "price": "$1,009.50",
            "imageURLHighRes": [address],
        }
        return {**record, **more, "description": ["Loud.", "Red."]}
    images = [{"large": "http://127.0.0.1:9/no.png", "variant": "PT01"}, {"hi_res": address, "variant": "MAIN"}]
    more = {"store": "Acme", "categories": ["Music", "Drums & Co"], "price": None, "images": images}
    return {**record, **more, "description": ["Loud.", "Red."]}
