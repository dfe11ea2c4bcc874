"""A service with the approximate index answers as one without."""

import numpy as np
import pytest

pytest.importorskip("faiss")

from recbole_sda.errors import InputError
from recbole_sda.recommend.recommender import Recommender
from recbole_sda.serve.service import opened


def test_a_service_with_the_index_gives_what_the_exact_one_gives(client_of, run_dir, client, caplog):
    with caplog.at_level("INFO"):
        other = client_of(run_dir, index="faiss")
    assert "faiss, 1 of 1 lists: recall@10 1.000 of exact search" in caplog.text
    for body in (
        {"user": "u1", "k": 20},
        {"user": "u3", "exclude_known": False},
        {"user": "u4", "deny": ["i1", "i2", "i3"]},
        {"session": ["i3", "i9"], "k": 20},
        {"session": ["i5"], "exclude_known": False},
        {"user": "u1", "where": {"kind": ["old"]}},
        {"user": "u1", "allow": ["i1", "i2", "i30"]},
    ):
        exact, found = (each.post("/recommend", json=body).json()["items"] for each in (client, other))
        assert [row["item_id"] for row in found] == [row["item_id"] for row in exact] != []
        np.testing.assert_allclose([row["score"] for row in found], [row["score"] for row in exact], atol=1e-5)
    batch = {"users": ["u1", "u2"], "k": 3}
    exact, found = (each.post("/recommend/batch", json=batch).json()["results"] for each in (client, other))
    assert [[row["item_id"] for row in r["items"]] for r in exact] == [
        [row["item_id"] for row in r["items"]] for r in found
    ]


def test_the_index_has_no_new_items(run_dir):
    recommender = Recommender(run_dir)
    recommender.new = object()
    with (
        pytest.raises(InputError, match="--index=faiss has no rows for --new-items"),
        opened(recommender, {}, {}, "faiss"),
    ):
        pass
