"""The service answers what `recommend` writes, and refuses what it cannot answer in one line."""

import json

import numpy as np
import pandas as pd
import pytest

from recbole_sda.engine import experiment
from recbole_sda.engine.ensemble import ensemble
from recbole_sda.recommend.recommender import Recommender

USERS = [f"u{k}" for k in range(43)]


def ask(client, **body):
    return client.post("/recommend", json=body)


def ids_of(answer):
    assert answer.status_code == 200, answer.text
    return [row["item_id"] for row in answer.json()["items"]]


@pytest.fixture(scope="module")
def ensemble_dir(run_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble") / "run"
    ensemble([run_dir, "knn:cooccurrence"], folder, {"ensemble_weights": [1, 0.5]})
    return folder


@pytest.mark.parametrize("kind", ["run", "ensemble"])
def test_a_batch_is_what_recommend_gives(client_of, run_dir, ensemble_dir, kind):
    folder = run_dir if kind == "run" else ensemble_dir
    answer = client_of(folder).post("/recommend/batch", json={"users": USERS[:40], "k": 7})
    assert answer.status_code == 200 and [r["user"] for r in answer.json()["results"]] == USERS[:40]
    found = [
        (r["user"], rank, row["item_id"], np.float32(row["score"]), row["new"])
        for r in answer.json()["results"]
        for rank, row in enumerate(r["items"], 1)
    ]
    expected = next(Recommender(folder).top(USERS[:40], k=7))
    assert found == list(expected.itertuples(index=False, name=None))


def test_a_user_alone_and_the_same_items_as_a_session(client, run_dir):
    recommender = Recommender(run_dir)
    for user in USERS[:4]:
        expected = pd.concat(recommender.top([user], k=5))
        answer = ask(client, user=user, k=5)
        assert answer.json()["user"] == user and ids_of(answer) == expected["item_id"].tolist()
        as_session = ask(client, session=recommender.history(user), k=5)
        assert as_session.json()["items"] == answer.json()["items"] and "user" not in as_session.json()
    both = client.post("/recommend/batch", json={"sessions": [recommender.history(user) for user in USERS[:4]], "k": 5})
    assert [[row["item_id"] for row in r["items"]] for r in both.json()["results"]] == [
        pd.concat(recommender.top([user], k=5))["item_id"].tolist() for user in USERS[:4]
    ]


def test_known_items_are_left_out_unless_the_request_has_them(client, run_dir):
    history = Recommender(run_dir).history("u5")
    assert not set(ids_of(ask(client, user="u5", k=20))) & set(history)
    scores = Recommender(run_dir).scores(["u5"]).loc["u5"].sort_values(ascending=False, kind="stable")
    assert ids_of(ask(client, user="u5", k=20, exclude_known=False)) == scores.index[:20].tolist()
    assert not set(ids_of(ask(client, session=["i3", "i4"], k=20))) & {"i3", "i4"}
    assert set(ids_of(ask(client, session=["i3"], allow=["i3", "i4"], exclude_known=False))) == {"i3", "i4"}


def test_filters(client, run_dir):
    scores = Recommender(run_dir).scores(["u2"]).loc["u2"].sort_values(ascending=False, kind="stable")
    number = {f"i{k}": k for k in range(37)}

    def best(keep, k=10):
        return [item for item in scores.index if keep(number[item])][:k]

    options = {"user": "u2", "exclude_known": False}
    assert ids_of(ask(client, **options, allow=["i1", "i2", "i30"])) == best(lambda n: n in (1, 2, 30))
    assert ids_of(ask(client, **options, deny=[f"i{k}" for k in range(25)])) == best(lambda n: n >= 25)
    assert ids_of(ask(client, **options, where={"kind": ["c0", "c1"]}, k=20)) == best(lambda n: n % 3 < 2, 20)
    assert ids_of(ask(client, **options, where={"kind": ["old"]}, deny=["i0"], allow=["i0", "i2", "i3"])) == ["i2"]
    assert ids_of(ask(client, **options, where={"kind": ["c1"]}, allow=["i0"])) == []
    assert ids_of(ask(client, **options, allow=[])) == [] == ids_of(ask(client, **options, where={"kind": []}))
    row = ask(client, **options, allow=["i1"]).json()["items"][0]
    assert row == {"item_id": "i1", "score": float(scores["i1"]), "new": False, "title": "thing 1"}
    assert ids_of(ask(client, **options)) == best(lambda n: True)  # a filter leaves nothing behind


@pytest.mark.parametrize(
    "body, status, message",
    [
        ({"user": "u99"}, 404, "unknown user 'u99'"),
        ({"user": "é\n"}, 404, "unknown user 'é\\n'"),
        ({"user": "x" * 500}, 404, f"unknown user '{'x' * 100}...'"),
        ({"session": ["i1", "i99"]}, 404, "unknown item 'i99'"),
        ({"user": "u1", "allow": ["i99"]}, 404, "unknown item in allow 'i99'"),
        ({"user": "u1", "deny": ["[PAD]"]}, 404, "unknown item in deny '[PAD]'"),
        ({"user": "u1", "where": {"kin": ["c1"]}}, 422, "where: 'kin' is no field to filter by; there are kind"),
        ({"user": "u1", "where": {"kind": ["c9"]}}, 422, "where: no item has 'c9' in the field kind"),
        ({}, 422, "expected either user or session"),
        ({"user": "u1", "session": ["i1"]}, 422, "expected either user or session"),
        ({"user": 1}, 422, "user: Input should be a valid string"),
        ({"user": ""}, 422, "user: String should have at least 1 character"),
        ({"user": "x" * 513}, 422, "user: String should have at most 512 characters"),
        ({"session": []}, 422, "session: List should have at least 1 item after validation, not 0"),
        ({"session": ["i1"] * 16}, 422, "session: List should have at most 15 items after validation, not 16"),
        ({"user": "u1", "allow": ["i1"] * 31}, 422, "allow: List should have at most 30 items after validation, not"),
        ({"user": "u1", "k": 0}, 422, "k: Input should be greater than or equal to 1"),
        ({"user": "u1", "k": 21}, 422, "k: Input should be less than or equal to 20"),
        ({"user": "u1", "k": True}, 422, "k: Input should be a valid integer"),
        ({"user": "u1", "top": 3}, 422, "top: Extra inputs are not permitted"),
        (dict.fromkeys("abcde", 1), 422, "a: Extra inputs are not permitted; b: Extra inputs are not permitted; c: Extra"),
        ([], 422, "expected a JSON object, with the header Content-Type: application/json"),
    ],
)  # fmt: skip
def test_what_is_refused(client, body, status, message):
    answer = client.post("/recommend", json=body)
    assert answer.status_code == status and list(answer.json()) == ["error"]
    assert answer.json()["error"].startswith(message)
    assert "\n" not in answer.json()["error"] and len(answer.json()["error"]) < 300


def test_bodies_that_are_no_request(client):
    json_type = {"content-type": "application/json"}
    for content, status, message in [
        (b"{", 422, "the body is not valid JSON"),
        (b'{"user": "\\ud800"}', 422, "user: Input should be a valid string"),
        (b'{"\\ud800": 1}', 422, ""),
        (b"[" * 4900, 4, ""),
        (b'{"user": "' + b"x" * 5000, 413, "the request has more than 5000 bytes"),
        (iter([b" " * 3000] * 3), 413, "the request has more than 5000 bytes"),
        (b"\xff\xfe", 4, ""),
    ]:
        answer = client.post("/recommend", content=content, headers=json_type)
        assert answer.status_code == status or answer.status_code // 100 == status, answer.text
        assert message in answer.json()["error"]
    assert (
        client.post("/recommend", content=b'{"user": "u1"}', headers={"content-type": "text/plain"}).status_code == 422
    )
    many = client.post("/recommend/batch", json={"users": ["u1"] * 41})
    assert many.status_code == 422 and "at most 40 items" in many.json()["error"]
    assert client.post("/recommend/batch", json={"users": ["u1", "u77"]}).json() == {"error": "unknown user 'u77'"}


@pytest.mark.parametrize(
    "body, reason",
    [
        ('{"user": "u1", "k": 2, "k": 3}', "the key 'k' occurs twice"),
        ('{"user": "u1", "k": NaN}', "NaN is no finite number"),
        ('{"user": "u1", "where": ' + "[" * 200 + "]" * 200 + "}", "nested"),
    ],
)
def test_json_with_two_readings_is_refused(client, body, reason):
    answer = client.post("/recommend", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422 and reason in answer.json()["error"]


def test_paths(client):
    about = client.get("/").json()
    assert about["model"] == "SASRec_SDA" and about["items"] == 37 and about["fields"] == {"kind": 4}
    assert "run" not in about  # no path of the machine
    assert client.get("/health").json() == {"status": "ok"}
    for path in ("/docs", "/redoc", "/recommend/", "/../config.yaml", "/%2e%2e/config.yaml"):
        assert client.get(path, follow_redirects=False).status_code == 404
    assert client.get("/recommend").status_code == 405
    schema = client.get("/openapi.json").json()
    assert {"/recommend", "/recommend/batch"} <= set(schema["paths"])
    assert schema["components"]["schemas"]["One"]["properties"]["k"]["maximum"] == 20


def test_metrics(client_of, run_dir):
    client = client_of(run_dir)
    for user in ("u1", "u2", "u99"):
        ask(client, user=user)
    client.get("/nothing/x"), client.get("/nothing/y")
    text = client.get("/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(lines['recbole_sda_requests_total{path="/recommend",status="200"}']) == 2
    assert float(lines['recbole_sda_errors_total{path="/recommend"}']) == 1
    assert float(lines['recbole_sda_errors_total{path="other"}']) == 2
    assert float(lines['recbole_sda_request_seconds_bucket{le="+Inf",path="/recommend"}']) == 3
    assert float(lines['recbole_sda_request_seconds_sum{path="/recommend"}']) > 0


def test_an_error_of_the_program_shows_nothing_of_it(client_of, run_dir, monkeypatch):
    client = client_of(run_dir)

    def fails(self, *args):
        raise RuntimeError("secret /home/somebody")

    monkeypatch.setattr("recbole_sda.recommend.recommender.Recommender._scores", fails)
    answer = ask(client, user="u1")
    assert answer.status_code == 500 and answer.json() == {
        "error": "internal error; the log of the service has its cause"
    }
    monkeypatch.undo()
    assert ask(client, user="u1").status_code == 200  # the lock is free again


def test_a_model_with_a_vector_per_user_takes_no_sessions(client_of, short_keys, tmp_path):
    experiment.run("BPR", "tiny", (), {**short_keys, "epochs": 1, "run_dir": str(tmp_path / "run")})
    client = client_of(tmp_path / "run")
    assert not client.get("/").json()["sessions"] and len(ids_of(ask(client, user="u1"))) == 10
    answer = ask(client, session=["i1"])
    assert (
        answer.status_code == 422
        and answer.json()["error"] == "BPR has a vector per user and takes no sessions; ask for users"
    )


def test_new_items_are_scored_as_by_recommend(client_of, run_dir, data_path, tmp_path):
    from recbole_sda.features.store import FeatureStore, write_store

    old, rng = FeatureStore(data_path / "tiny/features/random"), np.random.default_rng(4)
    ids = [*old.item_ids, *(f"fresh{k}" for k in range(25))]
    features = {
        name: np.concatenate([old.matrix(name).float().numpy(), rng.normal(size=(25, old.matrix(name).shape[1]))])
        for name in old.modalities
    }
    features = {name: matrix.astype(np.float32) for name, matrix in features.items()}
    present = {name: np.concatenate([old.present(name).numpy(), np.ones(25, bool)]) for name in old.modalities}
    write_store(tmp_path / "more", ids, features, present, {"encoder": {"model": "random"}})
    client = client_of(run_dir, new_items=tmp_path / "more")
    assert client.get("/").json()["new_items"] == 25
    answer = client.post("/recommend/batch", json={"users": USERS[:40], "k": 20}).json()["results"]
    expected = next(Recommender(run_dir, tmp_path / "more").top(USERS[:40], k=20))
    assert [row["item_id"] for r in answer for row in r["items"]] == expected["item_id"].tolist()
    assert [row["new"] for r in answer for row in r["items"]] == expected["new"].tolist() and expected["new"].any()
    assert all(row["new"] for row in ask(client, user="u1", allow=["fresh3", "fresh4"]).json()["items"])
    refused = ask(client, session=["i1", "fresh3"])
    assert refused.status_code == 422 and "item 'fresh3' is new" in refused.json()["error"]


def test_the_items_are_encoded_once(client_of, run_dir, monkeypatch):
    from recbole_sda.layers.item_embedding import EncodedItemEmbedding

    calls, encode = [], EncodedItemEmbedding._encode
    monkeypatch.setattr(EncodedItemEmbedding, "_encode", lambda *args: calls.append(1) or encode(*args))
    client = client_of(run_dir)
    for user in USERS[:3]:
        assert ask(client, user=user).status_code == 200 == ask(client, session=["i1"], deny=["i2"]).status_code
    assert len(calls) == 1


def test_requests_from_several_threads(client):
    from concurrent.futures import ThreadPoolExecutor

    alone = [json.dumps(ask(client, user=user).json()) for user in USERS[:10]]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda user: json.dumps(ask(client, user=user).json()), USERS[:10] * 4))
    assert together == alone * 4
