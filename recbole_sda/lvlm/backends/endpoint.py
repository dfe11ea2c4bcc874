"""Requests to an HTTP endpoint: JSON in and out, retries with growing pauses, a deadline, and a key that no message shows."""

import http.client
import json
import logging
import os
import random
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from typing import Any, Dict, Iterator, Optional
from urllib.parse import urlsplit

from recbole_sda.errors import InputError, one_line
from recbole_sda.io.json import parse_json

logger = logging.getLogger(__name__)

TRANSIENT = {408, 409, 425, 429, 500, 502, 503, 504}  # statuses after which the same request can succeed
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds
LARGEST_ANSWER = 1 << 28  # bytes
LOCAL = ("localhost", "127.0.0.1", "::1")


class Endpoint:
    """An endpoint of HTTP or HTTPS that takes and returns JSON. Redirects are not followed.

    Args:
        url: address, as ``http://localhost:8000/v1``; a path is appended.
        key_variable: name of the environment variable that holds the key; None: no key is sent.
        timeout: seconds that one attempt may wait for an answer.
        deadline: seconds after which a request that keeps failing is given up.

    Raises:
        InputError: the address is not one of HTTP or HTTPS without user, query and fragment, or the variable is missing.
    """

    def __init__(self, url: str, key_variable: Optional[str], timeout: float, deadline: float):
        self.url, self.timeout, self.deadline = url.rstrip("/"), timeout, deadline
        try:
            parts = urlsplit(url)
            self.secure, self.host, self.port = parts.scheme == "https", parts.hostname or "", parts.port
            self.host.encode("idna")
            is_plain = url.isprintable() and " " not in url
        except ValueError:  # also of a name that no host can have
            is_plain = False
        if not is_plain:
            shown = "" if "@" in url else f"={url[:200]!r}"  # a password may be before the @
            raise InputError(f"url{shown}: expected an address as http://localhost:8000/v1")
        if parts.username is not None or parts.password is not None:
            raise InputError("url holds a user or a password: give a key by --key_variable instead")
        if parts.scheme not in ("http", "https") or not self.host or parts.query or parts.fragment:
            raise InputError(f"url={url}: expected an address as http://localhost:8000/v1 or https://host/v1")
        self.path = parts.path.rstrip("/")
        self._key = _key(key_variable)
        self.closed = threading.Event()  # set it to end requests that wait for their next attempt
        if self._key and not self.secure and self.host not in LOCAL:
            logger.warning("url=%s: the key of %s is sent without encryption; use https", url, key_variable)

    def post(self, path: str, body: Dict[str, Any]) -> Any:
        """Return the JSON that the endpoint answers to a request.

        Raises:
            InputError: the request was refused, kept failing until the deadline, or was not answered by JSON.
        """
        data, started, pause = json.dumps(body).encode(), time.monotonic(), FIRST_PAUSE
        while True:
            reason, retry_after = "", None
            try:
                status, headers, text = self._attempt(path, data)
            except InputError:
                raise
            except (
                OSError,
                http.client.HTTPException,
                ValueError,
            ) as error:  # refused, reset, timed out, cut off, malformed
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise InputError(f"{self.url}: its certificate is not valid ({one_line(error)})") from None
                reason = one_line(error)
            else:
                if status == 200:
                    return parse_json(text, f"the answer of {self.url}{path}")
                reason = f"status {status}: {self._hidden(text)}"
                if status not in TRANSIENT:
                    raise InputError(f"{self.url}{path}: {reason}{_advice(status)}")
                retry_after = headers.get("retry-after")
            wait = max(pause * random.uniform(0.5, 1.0), _seconds(retry_after))
            passed = time.monotonic() - started
            if passed + wait > self.deadline:
                raise InputError(
                    f"{self.url}{path}: no answer after {passed:.0f} s and deadline={self.deadline:g} ({reason}). Finished shards "
                    "are kept: the same command continues"
                )
            logger.warning("%s: %s; again in %.1f s", self.url, reason, wait)
            if self.closed.wait(wait):
                raise InputError(f"{self.url}: closed")
            pause = min(2 * pause, LONGEST_PAUSE)

    def _attempt(self, path: str, data: bytes) -> Any:
        kind: Any = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=self.timeout)
        try:
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            connection.connect()
            with _time_limit(connection.sock, self.timeout):
                connection.request("POST", self.path + path, data, headers)
                answer = connection.getresponse()
                announced = answer.length
                content = answer.read(LARGEST_ANSWER + 1)
            if len(content) > LARGEST_ANSWER:
                raise InputError(
                    f"{self.url}{path}: the answer is larger than {LARGEST_ANSWER >> 20} MiB; use fewer request_items"
                )
            if announced is not None and len(content) < announced:  # which a bounded read does not report
                raise http.client.IncompleteRead(content, announced - len(content))
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, content.decode("utf-8", "replace")
        finally:
            connection.close()

    def _hidden(self, text: str) -> str:
        """Return the beginning of an answer on one line, without the key."""
        if self._key:
            text = text.replace(self._key, "***")
        return " ".join(text.split())[:200]


@contextmanager
def _time_limit(connected: socket.socket, seconds: float) -> Iterator[None]:
    """Context manager that ends a connection after some seconds in all; the socket's own timeout is that of each read alone.

    Raises:
        TimeoutError: the time has passed.
    """
    passed = threading.Event()

    def cut() -> None:
        passed.set()
        with suppress(OSError):  # it is closed already
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if not passed.is_set():
            raise
    finally:
        timer.cancel()
    if passed.is_set():
        raise TimeoutError(f"no complete answer within timeout={seconds:g} s")


def _key(variable: Optional[str]) -> str:
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(f"key_variable={variable}: the environment has no such variable, or it is empty")
    if not key.isascii() or not key.isprintable():
        raise InputError(f"key_variable={variable}: its value is no key: it holds characters that a header cannot")
    return key


def _seconds(retry_after: Optional[str]) -> float:
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:  # a date
        return 0.0


def _advice(status: int) -> str:
    if status in (401, 403):
        return " (the key was refused or is missing: name its environment variable by --key_variable)"
    if 300 <= status < 400:
        return " (redirects are not followed: give the final address)"
    if status == 413:
        return " (too large: use fewer request_items, or a smaller max_pixels)"
    return " (is the address right? it ends in /v1 as a rule)" if status == 404 else ""
