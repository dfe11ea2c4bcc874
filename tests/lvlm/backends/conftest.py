"""An endpoint on this machine that answers as OpenAI's and vLLM's do, and fails as they do."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image


def vector_of(text):
    """A vector that tells texts apart."""
    return [float(len(text)), float(text.count("e")), float(sum(map(ord, text)) % 97), 1.0]


class Server(ThreadingHTTPServer):
    """An endpoint; ``plan`` holds what it answers first: statuses, or functions of the handler."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.requests, self.lock, self.change = [], [], threading.Lock(), None
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append((self.path, dict(self.headers), body))
            planned = self.server.plan.pop(0) if self.server.plan else 200
        if callable(planned):
            return planned(self)
        if planned != 200:
            headers = {"Retry-After": "0.2"} if planned == 429 else {}
            return self.answer(planned, {"error": f"refused {self.headers.get('Authorization', '')}"}, headers)
        if "messages" in body:
            user = body["messages"][-1]["content"]
            pixel = 0.0
            for part in user:
                if part["type"] == "image_url":
                    data = base64.b64decode(part["image_url"]["url"].partition("base64,")[2])
                    pixel = float(sum(Image.open(io.BytesIO(data)).convert("RGB").resize((1, 1)).getpixel((0, 0))))
            vectors = [[*vector_of("".join(p.get("text", "") for p in user)), pixel]]
        else:
            vectors = [vector_of(text) for text in body["input"]]
        data = [{"object": "embedding", "index": k, "embedding": v} for k, v in enumerate(vectors)][::-1]
        if self.server.change is not None:
            data = self.server.change(data)
        self.answer(200, {"object": "list", "data": data})

    def answer(self, status, content, headers=()):
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
