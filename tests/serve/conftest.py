"""A service on a short run of the tiny data set, with fields of its items."""

import json
from contextlib import ExitStack

import pytest
from fastapi.testclient import TestClient

from recbole_sda.engine import experiment
from recbole_sda.recommend.item_titles import read_rows
from recbole_sda.recommend.recommender import Recommender
from recbole_sda.serve.app import create_app
from recbole_sda.serve.item_fields import item_fields
from recbole_sda.serve.limits import Limits
from recbole_sda.serve.service import columns_of_items, opened

LIMITS = Limits(k=20, batch=40, session=15, ids=30, body=5000)


@pytest.fixture(scope="session")
def run_dir(short_keys, tmp_path_factory):
    """A run of SASRec_SDA."""
    folder = tmp_path_factory.mktemp("serve") / "run"
    experiment.run("SASRec_SDA", "tiny", (), {**short_keys, "run_dir": str(folder)})
    return folder


@pytest.fixture(scope="session")
def items_path(tmp_path_factory):
    """An items.jsonl of the tiny data set: item k has the colour k % 3, even ones are also old."""
    path = tmp_path_factory.mktemp("items") / "items.jsonl"
    rows = [
        {"item_id": f"i{k}", "title": f"thing {k}", "kind": [f"c{k % 3}", *(["old"] if k % 2 == 0 else [])]}
        for k in range(37)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture(scope="session")
def client_of(items_path):
    """A function: run folder -> a client of its service; it ends with the session."""
    stack = ExitStack()

    def make(run_dir, index="exact", limits=LIMITS, new_items=None):
        recommender = Recommender(run_dir, new_items)
        rows = read_rows(items_path.parent, "tiny")
        fields = item_fields(["kind"], [rows], columns_of_items(recommender))
        titles = {"i1": "thing 1"}
        service = stack.enter_context(opened(recommender, titles, fields, index))
        return TestClient(create_app(service, limits), raise_server_exceptions=False)

    with stack:
        yield make


@pytest.fixture(scope="session")
def client(client_of, run_dir):
    """A client of the service of :func:`run_dir`."""
    return client_of(run_dir)
