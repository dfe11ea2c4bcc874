"""Requests whose addresses come from data."""

import ipaddress
import socket
import threading
import time

import pytest

from dataset_prep import web
from dataset_prep.image_source import FetchError, ImageOptions, RateLimit, read_source

SECRET = b"AKIA-SECRET-KEY=hunter2"
QUICK = ImageOptions(per_second=1000, timeout=0.5, tries=2, pause=0.0, deadline=1.0)


def serve(host, answer):
    """A server in a thread; ``answer`` is called with the socket of each request."""
    listening = socket.create_server((host, 0))
    asked = []

    def run():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection):
        with connection:
            asked.append(connection.recv(4096))
            try:
                answer(connection)
            except OSError:
                pass

    threading.Thread(target=run, daemon=True).start()
    return f"http://{host}:{listening.getsockname()[1]}", asked, listening


def reason(source, options=QUICK):
    with pytest.raises(FetchError) as caught:
        read_source(source, options, RateLimit(1000))
    return str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "::1",
        "fe80::1",
    ]
    + ["fc00::1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1", "::"],
)
def test_addresses_that_are_not_public(address):
    assert not web.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_addresses_that_are_public(address):
    assert web.is_public(ipaddress.ip_address(address))


def test_nothing_is_sent_to_a_private_address():
    address, asked, listening = serve("127.0.0.1", lambda c: c.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + SECRET))
    with listening:
        found = reason(address + "/x")
        assert "127.0.0.1 is 127.0.0.1, an address of this machine" in found and "--private-addresses" in found
        assert "localhost is" in reason(address.replace("127.0.0.1", "localhost"))
        assert asked == []
        assert read_source(address, QUICK._replace(private=True), RateLimit(1000)) == SECRET


@pytest.mark.parametrize("target", ["http://127.0.0.2:{port}/secret", "file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_redirects_are_checked_too(target, monkeypatch):
    """127.0.0.1 stands for a public server, 127.0.0.2 for one of the inner network."""
    monkeypatch.setattr(web, "is_public", lambda address: str(address) == "127.0.0.1")
    inner, asked, listening = serve("127.0.0.2", lambda c: c.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + SECRET))
    place = target.format(port=inner.rpartition(":")[2]).encode()
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + place + b"\r\n\r\n"
    public, _, other = serve("127.0.0.1", lambda c: c.sendall(head))
    with listening, other:
        found = reason(public)
    assert asked == [] and ("127.0.0.2 is 127.0.0.2" in found or "redirected" in found or "url type: ftp" in found)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_server_that_never_ends_is_given_up(head):
    def drip(connection):
        connection.sendall(head)
        while True:
            time.sleep(0.1)
            connection.sendall(b"a")

    address, _, listening = serve("127.0.0.1", drip)
    with listening:
        start = time.monotonic()
        assert reason(address, QUICK._replace(private=True)) == "no complete answer in 1 s"
        assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + SECRET,
        b"HTTP/1.1 404 " + SECRET + b"\r\n\r\n" + SECRET,
        b"HTTP/1.1 299 " + SECRET + b"\r\n\r\n",
        SECRET + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + SECRET + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + SECRET * 9999,
    ],
)
def test_no_byte_of_an_answer_is_repeated(answer):
    address, _, listening = serve("127.0.0.1", lambda c: c.sendall(answer))
    with listening:
        try:
            found = reason(address, QUICK._replace(private=True))
        except pytest.fail.Exception:  # the answer was taken, and is no picture
            return
    assert "AKIA" not in found and "hunter" not in found
