"""An endpoint on this machine that answers as OpenAI's and vLLM's do, and fails as they do."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.lvlm.api import adapt, extract
from recbole_sda.lvlm.backends.endpoint import Endpoint

from .conftest import vector_of

KEY = "sk-very-secret-123"


@pytest.fixture
def run(server, catalogue_file, tmp_path):
    """A function: extracts the catalogue by the endpoint; the path of the store."""

    def extracted(**keys):
        given = {"backbone": "some-embedder", "backend": "openai", "url": server.url, "deadline": 5.0, **keys}
        return extract(items=catalogue_file, out=tmp_path / "store", store_dtype="float32", workers=0, **given)

    return extracted


def titles(catalogue_file):
    return {i["item_id"]: i["title"] for i in map(json.loads, catalogue_file.read_text().splitlines())}


def test_texts_in_batches_in_order_at_their_items(run, server, catalogue_file):
    store = FeatureStore(run(request_items=5, instruction="doc: "))
    for item, row in zip(store.item_ids, store.matrix("text")):
        assert row.tolist() == vector_of(f"doc: title: {titles(catalogue_file)[item]}")
    sizes = [len(body["input"]) for _, _, body in server.requests]
    distinct = len(set(titles(catalogue_file).values()))
    assert sum(sizes) == distinct and max(sizes) == 5 and {path for path, _, _ in server.requests} == {"/v1/embeddings"}
    assert all(body["model"] == "some-embedder" for _, _, body in server.requests)
    assert not any("Authorization" in headers for _, headers, _ in server.requests)
    m = store.manifest
    assert m["encoder"] == {"backend": "openai", "model": "some-embedder", "revision": None, "request_form": "input"}
    assert (m["pooling"], m["instruction"], m["l2"]) == ("server", "doc: ", False)


def test_images_and_texts_as_messages(run, server, catalogue_file):
    store = FeatureStore(run(backbone="Qwen/Qwen3-VL-Embedding-2B", connections=3))
    assert (
        list(store.modalities) == ["image", "text"] and store.manifest["instruction"] == "Represent the user's input."
    )
    norms = store.matrix("image").norm(dim=1)
    assert store.present("image").sum() == 36 and torch.allclose(
        norms[store.present("image")], torch.ones(36)
    )  # l2 of the table
    assert len({tuple(row.tolist()) for row in store.matrix("image")[:4]}) == 4  # four colours
    bodies = [body for _, _, body in server.requests]
    assert all(body["messages"][0]["role"] == "system" and body["add_generation_prompt"] for body in bodies)
    kinds = {tuple(part["type"] for part in body["messages"][1]["content"]) for body in bodies}
    assert kinds == {("image_url",), ("text",)}


def test_the_key_is_sent_and_nowhere_else(run, server, monkeypatch, caplog, catalogue_file, tmp_path):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    server.plan = [503]
    out = run(key_variable="MY_KEY")
    assert all(headers["Authorization"] == f"Bearer {KEY}" for _, headers, _ in server.requests)
    assert "status 503" in caplog.text and KEY not in caplog.text
    assert all(KEY.encode() not in path.read_bytes() for path in out.rglob("*") if path.is_file())
    server.plan = [401]
    with pytest.raises(InputError, match="status 401: .*--key_variable") as caught:
        extract(
            backbone="m",
            backend="openai",
            url=server.url,
            key_variable="MY_KEY",
            items=catalogue_file,
            out=tmp_path / "two",
        )
    assert KEY not in str(caught.value)


def hang(handler):
    time.sleep(1.5)


def cut(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data": [')
    handler.wfile.flush()
    handler.connection.close()


def test_what_passes_is_tried_again(run, server, monkeypatch):
    monkeypatch.setattr("recbole_sda.lvlm.backends.endpoint.FIRST_PAUSE", 0.05)
    server.plan = [429, 500, hang, cut, 503]
    store = FeatureStore(run(timeout=0.5, connections=1, request_items=100))
    assert len(server.requests) == 6 and len(store.item_ids) == 40


@pytest.mark.parametrize(
    "status, message",
    [
        (400, "status 400"),
        (404, "status 404: .*ends in /v1"),
        (302, "redirects are not followed"),
        (413, "fewer request_items"),
    ],
)
def test_what_does_not_pass_is_not_tried_again(run, server, status, message):
    server.plan = [status] * 3
    with pytest.raises(InputError, match=message) as caught:
        run(connections=1, request_items=100)
    assert len(server.requests) == 1 and "\n" not in str(caught.value)


def test_the_deadline_ends_it(run, server):
    server.plan = [503] * 1000
    start = time.monotonic()
    with pytest.raises(InputError, match="deadline=1 .*status 503.*Finished shards are kept"):
        run(deadline=1.0)
    assert time.monotonic() - start < 4


def test_finished_shards_are_not_asked_for_again(run, server):
    def refuse_later(handler):
        handler.answer(400, {"error": "no more"})

    server.plan = [200, 200, 200, refuse_later]
    with pytest.raises(InputError, match="no more"):
        run(shard_items=4, request_items=4, connections=1)
    asked = [text for _, _, body in server.requests[:3] for text in body["input"]]
    server.requests.clear()
    run(shard_items=4, request_items=4, connections=1)
    again = [text for _, _, body in server.requests for text in body["input"]]
    assert len(asked) == 12 and again and not set(asked) & set(again)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda data: data[1:], "expected 100 vectors|expected .* vectors with the indices"),
        (lambda data: [{**d, "index": 0} for d in data], "with the indices 0 to"),
        (
            lambda data: [{**d, "embedding": d["embedding"][: 1 + d["index"] % 2]} for d in data],
            "different widths: 1, 2",
        ),
        (lambda data: [{**d, "embedding": [None, 1.0]} for d in data], "no list of finite numbers"),
        (lambda data: [{**d, "embedding": "AAAA"} for d in data], "no list of finite numbers"),
        (lambda data: [{**d, "embedding": []} for d in data], "no list of finite numbers"),
        (lambda data: "none", "no list of vectors under 'data'"),
    ],
)
def test_answers_are_checked(run, server, change, message):
    server.change = change
    with pytest.raises(InputError, match=message):
        run()


@pytest.mark.parametrize(
    "content, message", [(b"<html>", "is not JSON"), (b'{"data": [{"index": 0, "embedding": [NaN]}]}', "NaN")]
)
def test_answers_that_are_no_json(run, server, content, message):
    server.plan = [lambda handler: handler.answer(200, content)]
    with pytest.raises(InputError, match=message):
        run(request_items=100)


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"url": None}, "url is missing"),
        ({"url": "ftp://host/v1"}, "url=ftp://host/v1: expected an address"),
        ({"url": "file:///etc/passwd"}, "expected an address"),
        ({"url": "http://host:99999/v1"}, "expected an address"),
        ({"url": "http://../v1"}, "url='http://../v1': expected an address"),
        ({"url": "http://host/v1\nX: y"}, "expected an address"),
        ({"url": "http://me:secret@a..b/v1"}, "^url: expected an address"),
        ({"url": "http://me:secret@host/v1"}, "url holds a user or a password"),
        ({"url": "http://host/v1?key=1"}, "expected an address"),
        ({"key_variable": "NO_SUCH_KEY"}, "key_variable=NO_SUCH_KEY: the environment has no such variable"),
        ({"backbone": ""}, "backbone is missing"),
        ({"pooling": "last"}, "pooling=last needs backend=transformers"),
        ({"request_form": "chat"}, "request_form='chat': allowed are input, messages"),
        ({"actors": 2}, "actors=2 needs backend=transformers"),
        ({"embedder": "qwen"}, "embedder='qwen': allowed are none"),
    ],
)
def test_settings_that_are_refused(run, keys, message):
    with pytest.raises(InputError, match=message) as caught:
        run(**keys)
    assert "secret" not in str(caught.value)


def test_a_key_that_no_header_can_hold(monkeypatch):
    monkeypatch.setenv("MY_KEY", "a\nb: c")
    with pytest.raises(InputError, match="holds characters that a header cannot"):
        Endpoint("http://localhost/v1", "MY_KEY", 1, 1)


def test_adaptation_has_no_backend(catalogue_file, tmp_path):
    with pytest.raises(InputError, match="backend=openai is for extract alone"):
        adapt(backbone="x", backend="openai", items=catalogue_file, out=tmp_path / "run")


INTERRUPTED = """
import sys
import threading
from recbole_sda.lvlm.backends.endpoint import Endpoint
from recbole_sda.lvlm.backends.threads import in_threads
endpoint = Endpoint(sys.argv[1], None, 60, 60)
list(in_threads(lambda k: endpoint.post("/embeddings", {"input": [str(k)]}), range(9), 3))
"""


def interrupted(server, command):
    """Send Ctrl-C to a process whose requests hang; how long it took to end, its status and what it said."""
    server.plan = [lambda handler: time.sleep(60)] * 10
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while not server.requests and process.poll() is None:
        time.sleep(0.05)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=40)
    return time.monotonic() - start, process.returncode, said


def test_ctrl_c_ends_requests_that_hang(server):
    took, _, said = interrupted(server, [sys.executable, "-c", INTERRUPTED, server.url])
    assert took < 10 and "KeyboardInterrupt" in said


@pytest.mark.slow
def test_ctrl_c_ends_the_command_that_continues_later(server, catalogue_file, tmp_path):
    command = [sys.executable, "-m", "recbole_sda", "lvlm", "extract", "--backend=openai", "--backbone=m"]
    command += [f"--url={server.url}", f"--items={catalogue_file}", f"--out={tmp_path / 'store'}"]
    took, status, said = interrupted(server, command)
    assert status == 130 and "continues from" in said and "Traceback" not in said and took < 30


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_that_trickles_in_ends_with_the_deadline(first):
    """Each byte comes in time, but the answer never ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def trickle(connection):
        with suppress(OSError), connection:
            connection.sendall(first)
            while not ended.wait(0.05):
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" if not first else b" ")

    def serve():
        with suppress(OSError):
            while True:
                threading.Thread(target=trickle, args=[listening.accept()[0]], daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    endpoint = Endpoint(f"http://127.0.0.1:{listening.getsockname()[1]}", None, timeout=0.3, deadline=0.5)
    start = time.monotonic()
    with pytest.raises(InputError, match="no complete answer within timeout=0.3 s"):
        endpoint.post("/embeddings", {})
    assert time.monotonic() - start < 5
    ended.set()
    listening.close()


def test_a_chunk_of_negative_length(server):
    def answer(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}")

    server.plan = [answer] * 50
    with pytest.raises(InputError, match="read length must be non-negative"):
        Endpoint(server.url, None, 5.0, 0.6).post("/embeddings", {})
