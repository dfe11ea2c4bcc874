"""What every request passes: counters and times for Prometheus, the limit of its size, and the form of its JSON."""

import asyncio
import time
from typing import Any, Awaitable, Callable, Collection, Dict

from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Histogram

from recbole_sda.errors import InputError
from recbole_sda.io.json import RefusedJSON, parse_json

App = Callable[..., Awaitable[None]]
BODY_SECONDS = 15.0  # for the bytes of a request to arrive
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Measured:
    """Counts the requests of an application, its errors, and their times.

    Args:
        app: the application.
        registry: holds the metrics.
        paths: paths with series of their own; others are counted as ``other``.
    """

    def __init__(self, app: App, registry: CollectorRegistry, paths: Collection[str]):
        self.app, self.paths = app, frozenset(paths)
        self.requests = Counter("recbole_sda_requests", "Answered requests.", ["path", "status"], registry=registry)
        self.errors = Counter("recbole_sda_errors", "Requests with status 400 or above.", ["path"], registry=registry)
        self.seconds = Histogram(
            "recbole_sda_request_seconds", "Time of a request.", ["path"], buckets=BUCKETS, registry=registry
        )

    async def __call__(self, scope: Dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, status, start = scope["path"] if scope["path"] in self.paths else "other", 500, time.perf_counter()

        async def sent(message: Dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, sent)
        finally:
            self.requests.labels(path, str(status)).inc()
            self.seconds.labels(path).observe(time.perf_counter() - start)
            if status >= 400:
                self.errors.labels(path).inc()


class CheckedBody:
    """Refuses requests of more than ``limit`` bytes, those whose bytes take too long, and JSON with a key twice or other doubts."""

    def __init__(self, app: App, limit: int):
        self.app, self.limit = app, limit

    async def __call__(self, scope: Dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"content-length", b"0")
        body, more = bytearray(), not (given.isdigit() and int(given) > self.limit)
        too_large = not more
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        return  # the client has left
                    body += message.get("body", b"")
                    more, too_large = message.get("more_body", False), len(body) > self.limit
                    more = more and not too_large
        except TimeoutError:
            await _refused(408, f"the request did not arrive within {BODY_SECONDS:.0f} seconds")(scope, receive, send)
            return
        if too_large:
            await _refused(413, f"the request has more than {self.limit} bytes")(scope, receive, send)
            return
        try:
            parse_json(body.decode("utf-8"), "the body")
        except RefusedJSON as error:
            await _refused(422, str(error))(scope, receive, send)
            return
        except (InputError, UnicodeDecodeError):
            pass  # no JSON at all: the application names what it expects
        first = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def whole() -> Any:
            return first.pop() if first else await receive()

        await self.app(scope, whole, send)


def _refused(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status, {"connection": "close"})
