"""Requests to servers whose addresses come from data: http and https alone, no address of this machine or of a private network.

The address of each connection is checked, also after redirects, and before anything is sent. A request has a deadline as a whole.
"""

import ipaddress
import socket
import threading
import time
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Callable, Iterator, List, Optional, Union
from urllib.error import HTTPError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
IPV4_IN_IPV6 = ipaddress.ip_network("64:ff9b::/96")  # of translating networks; the last four bytes are an IPv4 address


class RefusedAddress(Exception):
    """A server has an address of this machine or of a private network; the message names it."""


def is_public(address: Address) -> bool:
    """Return whether an address belongs to a public network.

    Example:
        >>> [is_public(ipaddress.ip_address(a)) for a in ("8.8.8.8", "127.0.0.1", "169.254.169.254", "10.0.0.1", "::ffff:10.0.0.1")]
        [True, False, False, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address):
        embedded: Any = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in IPV4_IN_IPV6:
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(embedded)
    return address.is_global and not address.is_multicast


class _Sockets:
    """Connects, checks addresses, and keeps a handle of each socket, by which it can be ended from another thread."""

    def __init__(self) -> None:
        self.handles: List[socket.socket] = []

    def connect(self, private: bool, target: Any, timeout: Any = None, source: Any = None) -> socket.socket:
        """Connect to a (host, port), as :func:`socket.create_connection` does, unless its address is refused."""
        host, port = target
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for *_, address in found:
            if not private and not is_public(ipaddress.ip_address(str(address[0]).partition("%")[0])):
                raise RefusedAddress(f"{host} is {address[0]}, an address of this machine or of a private network")
        error: Optional[OSError] = None
        for *_, address in found:  # these addresses, not the name again, which could have others by now
            try:
                connection = socket.create_connection((str(address[0]), int(address[1])), timeout, source)
            except OSError as caught:
                error = caught
                continue
            self.handles.append(connection.dup())
            return connection
        raise error or OSError(f"{host} has no address")

    def end(self) -> None:
        """End all connections."""
        for handle in self.handles:
            try:
                handle.shutdown(socket.SHUT_RDWR)
            except OSError:  # ended already
                pass

    def close(self) -> None:
        """Forget all connections."""
        for handle in self.handles:
            handle.close()


def _connection(
    kind: Callable[..., HTTPConnection], connect: Callable[..., socket.socket], *args: Any, **keys: Any
) -> Any:
    connection: Any = kind(*args, **keys)
    connection._create_connection = connect
    return connection


class _Http(HTTPHandler):
    def __init__(self, sockets: _Sockets, private: bool):
        super().__init__()
        self.sockets, self.private = sockets, private

    def http_open(self, req: Any) -> Any:
        connect = partial(self.sockets.connect, self.private or _by_proxy(req))
        return self.do_open(partial(_connection, HTTPConnection, connect), req)


class _Https(HTTPSHandler):
    def __init__(self, sockets: _Sockets, private: bool):
        super().__init__()
        self.sockets, self.private = sockets, private

    def https_open(self, req: Any) -> Any:
        connect = partial(self.sockets.connect, self.private or _by_proxy(req))
        return self.do_open(partial(_connection, HTTPSConnection, connect), req, context=self._context)  # type: ignore[attr-defined]


def _by_proxy(request: Any) -> bool:
    """Return whether a request goes to a proxy of the environment, which then decides what it connects to."""
    return bool(request.has_proxy() or getattr(request, "_tunnel_host", None))


@contextmanager
def open_url(request: Request, timeout: float, private: bool, until: Optional[float] = None) -> Iterator[Any]:
    """Context manager that sends a request and gives the answer.

    Args:
        request: http or https.
        timeout: seconds without a byte of the answer.
        private: whether servers may have addresses of this machine or of private networks.
        until: value of ``time.monotonic()`` at which the connection is ended, whatever the server does.

    Raises:
        RefusedAddress: a server's address is private.
        TimeoutError: the time of ``until`` has come.
        OSError, http.client.HTTPException: the answer is an error, incomplete or none.
    """
    sockets, opener = _Sockets(), OpenerDirector()
    for handler in (
        ProxyHandler(),
        UnknownHandler(),
        HTTPDefaultErrorHandler(),
        HTTPRedirectHandler(),
        HTTPErrorProcessor(),
        _Http(sockets, private),
        _Https(sockets, private),
    ):
        opener.add_handler(handler)
    timer = threading.Timer(1e9 if until is None else max(until - time.monotonic(), 0.0), sockets.end)
    timer.daemon = True
    if until is not None:
        timer.start()
    try:
        with opener.open(request, timeout=timeout) as answer:
            yield answer
    except (OSError, HTTPException, ValueError) as error:
        if until is not None and time.monotonic() >= until:
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
        sockets.close()


def reason_of(error: Exception) -> str:
    """Return why a request failed, in words of this machine alone: nothing that the server has written is repeated."""
    if isinstance(error, HTTPError):
        if 300 <= error.code < 400:
            return "redirected too often, or to an address that is not http or https"
        known = {status.value: status.phrase for status in HTTPStatus}
        return f"the server answers {error.code} {known.get(error.code, '')}".strip()
    if isinstance(error, (HTTPException, ValueError)):
        return f"the answer is not valid HTTP ({type(error).__name__})"
    return str(getattr(error, "reason", error)) or type(error).__name__
