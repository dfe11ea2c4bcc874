"""The address and the end of the server."""

import re
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from recbole_sda.errors import InputError
from recbole_sda.serve.server import bound_socket

PROGRAM = """
import logging
from recbole_sda.serve.server import bound_socket, run_server

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})

logging.basicConfig(level="INFO")
run_server(app, bound_socket("127.0.0.1", 0), "nothing")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signals_end_it_without_an_error(tmp_path, name):
    log = tmp_path / "log"
    with open(log, "w") as file:
        server = subprocess.Popen([sys.executable, "-c", PROGRAM], stderr=file)
    try:
        while not (found := re.search(r"nothing at (http://127\.0\.0\.1:\d+); Ctrl-C", log.read_text())):
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
        assert urllib.request.urlopen(found[1], timeout=60).read() == b"here"
    finally:
        server.send_signal(getattr(signal, name))
        assert server.wait(60) == 0
    assert "stopped" in log.read_text() and "Traceback" not in log.read_text()


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(InputError, match="--host=192.0.2.1 --port=0: "):
        bound_socket("192.0.2.1", 0)
    with bound_socket("::1", 0) as bound:
        assert bound.getsockname()[0] == "::1"
