"""The approximate index against exact search."""

import numpy as np
import pytest

pytest.importorskip("faiss")

from recbole_sda.errors import InputError
from recbole_sda.recommend.recommender import Recommender
from recbole_sda.serve.ann import AnnIndex
from recbole_sda.serve.service import opened


def test_all_lists_are_exact_and_few_are_not():
    rng = np.random.default_rng(0)
    items, queries = (rng.normal(size=(n, 12)).astype(np.float32) for n in (4000, 50))
    whole = AnnIndex(items, probed=10_000)
    rows, scores = whole.search(queries, 20)
    exact = queries @ items.T
    np.testing.assert_array_equal(rows, np.argsort(-exact, axis=1, kind="stable")[:, :20])
    np.testing.assert_allclose(scores, np.sort(exact, axis=1)[:, ::-1][:, :20], atol=1e-5)
    assert whole.recall(queries) == 1 and str(whole) == "faiss, 102 of 102 lists"
    few = AnnIndex(items, probed=3)
    by_hand = np.mean(
        [len(set(a[:10]) & set(b[:10])) / 10 for a, b in zip(rows.tolist(), few.search(queries, 10)[0].tolist())]
    )
    assert few.recall(queries) == pytest.approx(by_hand) and by_hand < 0.9


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
