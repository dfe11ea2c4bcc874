"""The command serve: its start, its end, and what it refuses before a run is loaded."""

import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from recbole_sda.cli.main import main
from recbole_sda.engine import experiment
from recbole_sda.recommend.recommender import Recommender


@pytest.fixture(scope="module")
def run_dir(short_keys, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "run"
    experiment.run("GRU4Rec", "tiny", (), {**short_keys, "epochs": 1, "run_dir": str(folder)})
    return folder


def ask(url, body):
    request = urllib.request.Request(url, body and json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert "server" not in answer.headers
        return json.load(answer)


def test_the_service_answers_until_ctrl_c(run_dir, tmp_path, capsys):
    titles = tmp_path / "items.jsonl"
    titles.write_text(
        '{"item_id": "i1", "title": "one", "brand": "A"}\n{"item_id": "i2", "title": "two", "brand": "B"}\n'
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    answers, url = [], f"http://127.0.0.1:{port}"

    def client():
        try:
            for _ in range(300):
                try:
                    answers.append(ask(f"{url}/health", None))
                    break
                except urllib.error.URLError:
                    time.sleep(0.1)
            body = {"user": "u1", "k": 3, "exclude_known": False, "where": {"brand": ["A", "B"]}}
            answers.append(ask(f"{url}/recommend", body))
            with pytest.raises(urllib.error.HTTPError, match="422"):
                ask(f"{url}/recommend", {"user": "u1", "k": 4})
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=client)
    thread.start()
    options = [f"--port={port}", f"--items={titles}", "--filter-fields=brand", "--max-k=3"]
    assert main(["serve", str(run_dir), *options]) == 0
    thread.join(60)
    text = capsys.readouterr().err
    assert f"GRU4Rec on tiny at {url}; Ctrl-C ends the service" in text and "stopped" in text
    health, found = answers
    scores = Recommender(run_dir).scores(["u1"]).loc["u1"][["i1", "i2"]].sort_values(ascending=False)
    assert health == {"status": "ok"} and [row["item_id"] for row in found["items"]] == scores.index.tolist()
    assert {row["item_id"]: row["title"] for row in found["items"]} == {"i1": "one", "i2": "two"}


def test_what_is_refused_before_the_run_is_loaded(run_dir, capsys, monkeypatch):
    def error(*options):
        assert main(["serve", str(run_dir), *options]) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert error(f"--port={port}") == f"error: --host=127.0.0.1 --port={port}: Address already in use"
    assert error("--port=70000") == "error: --port=70000: expected a whole number at least 0 and at most 65535"
    assert error("--host=no host").startswith("error: --host=no host --port=8000: ")
    assert error("--max-k=0") == "error: --max-k=0: expected a whole number at least 1 and at most 1000000"
    assert error("--new-titles=x.jsonl") == "error: --new-titles needs --new-items, the feature store of the same items"
    assert error("--epochs=3") == "error: --epochs is not an option of serve; see --help"
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "recbole_sda.serve.server", raising=False)
    assert error() == "error: serve needs uvicorn: pip install -e '.[serve]'"


def test_what_is_refused_of_the_run(run_dir, capsys, tmp_path):
    def error(folder, *options):
        assert main(["serve", str(folder), "--port=0", *options]) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    assert "nothing is not a run folder" in error(tmp_path / "nothing")
    assert error(run_dir, "--filter-fields=brand") == (
        "error: --filter-fields=brand: the data set has no file of items; --items names one"
    )
    items = tmp_path / "items.jsonl"
    items.write_text('{"item_id": "i1", "brand": "A"}')
    assert error(run_dir, f"--items={items}", "--filter-fields=brnd") == (
        f"error: --filter-fields=brnd: no item of {items} has this field; there are item_id, brand, image. Did you mean 'brand'?"
    )
    assert f"no longer in {tmp_path}; --data_path names another place" in error(run_dir, f"--data_path={tmp_path}")
