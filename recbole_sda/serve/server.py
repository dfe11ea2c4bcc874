"""Running an application at an address, until Ctrl-C or the system's signal to end."""

import logging
import signal
import socket
from typing import Any, List, Optional

import uvicorn

from recbole_sda.errors import InputError
from recbole_sda.validation import Range

logger = logging.getLogger(__name__)

CONNECTIONS = 512  # at a time; further ones get status 503
GRACE_SECONDS = 10  # for running requests after Ctrl-C


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket with an address, which does not listen yet: an address that cannot be used is known before a run is loaded.

    Args:
        host: name or address; a name that stands for several gets the first.
        port: 0: any free one.

    Raises:
        InputError: the address cannot be used.
    """
    Range(0, 65535, closed_high=True).check("--port", port, whole=True)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"--host={host} --port={port}: {reason}") from None
    return bound


def run_server(app: Any, bound: socket.socket, name: str) -> None:
    """Answer requests until Ctrl-C or SIGTERM; running requests are finished first.

    Args:
        app: an ASGI application.
        bound: see :func:`bound_socket`.
        name: of what is served, for the log.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    server = _Server(config, f"{name} at http://{shown}:{port}; Ctrl-C ends the service")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn sends a signal again as it ends
    try:
        server.run(sockets=[bound])
    except KeyboardInterrupt:
        logger.info("stopped")
    finally:
        signal.signal(signal.SIGTERM, before)
        bound.close()


class _Server(uvicorn.Server):
    """A server that logs where it is once it listens."""

    def __init__(self, config: uvicorn.Config, message: str):
        super().__init__(config)
        self.message = message

    async def startup(self, sockets: Optional[List[socket.socket]] = None) -> None:
        await super().startup(sockets)
        logger.info("%s", self.message)
