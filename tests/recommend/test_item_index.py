"""One matrix of items for a run or an ensemble: its inner products are the run's scores, and its files are read back."""

import json

import numpy as np
import pandas as pd
import pytest

from recbole_sda.cli.main import main
from recbole_sda.engine.ensemble import ensemble
from recbole_sda.errors import InputError
from recbole_sda.recommend.item_index import ItemIndex
from recbole_sda.recommend.recommender import Recommender

RATIO = {"split": {"RS": [0.5, 0.25, 0.25]}}


@pytest.fixture(scope="module")
def mixed(trained, tmp_path_factory):
    """A function: keys -> an ensemble of sequential runs, a general run, and content."""

    def make(**keys):
        names = [trained("SASRec"), trained("BERT4Rec"), trained("BPR"), "knn:features", "knn:cooccurrence"]
        folder = tmp_path_factory.mktemp("mixed") / "run"
        weights = {"ensemble_weights": [1, 0.3, 0.5, 0.2, 0]}
        ensemble(names, folder, {**weights, **keys})
        return folder

    return make


def check(run_dir):
    """Compare scores and top items of all users with those of ``recommend``; return the index."""
    index, recommender = ItemIndex(run_dir), Recommender(run_dir, repeat=True)
    queries = index.query_vectors(index.user_ids)
    scores, expected = queries @ index.items.T, recommender.scores(index.user_ids)
    assert list(expected.columns) == index.item_ids
    np.testing.assert_allclose(scores, expected.to_numpy(), atol=1e-5, rtol=1e-5)
    top = pd.concat(recommender.top(index.user_ids, k=10))["item_id"].to_numpy().reshape(-1, 10)
    mine = np.asarray(index.item_ids)[np.argsort(-scores, axis=1, kind="stable")[:, :10]]
    close = np.sort(expected.to_numpy(), axis=1)[:, ::-1][:, :11]
    distinct = (np.diff(close, axis=1) < -1e-5).all(axis=1)  # users whose items differ by more than rounding
    assert distinct.mean() > 0.8 and (mine[distinct] == top[distinct]).all()
    return index


def test_an_ensemble_of_all_kinds_is_one_matrix(mixed):
    index = check(mixed())
    assert index.items.shape == (37, 64 + 65 + 64 + 16)  # BERT4Rec has a bias


def test_weights_by_group_need_no_further_columns(mixed, monkeypatch):
    from recbole_sda.model.ensemble.model import Ensemble

    folder = mixed(ensemble_groups="tail", tail_items=6)
    load = Ensemble.load_state_dict

    def other_weights(self, *args, **kwargs):
        load(self, *args, **kwargs)
        self.weights[1] = self.weights[1].flip(0) * (self.weights[0] > 0) + 0.1 * (self.weights[0] > 0)

    monkeypatch.setattr(Ensemble, "load_state_dict", other_weights)
    assert check(folder).items.shape == (37, 64 + 65 + 64 + 16)


@pytest.mark.parametrize("name", ["SASRec", "BPR"])
def test_a_run_and_an_ensemble_of_one_member_are_the_same_matrix(trained, tmp_path, name):
    index = check(trained(name))
    ensemble([trained(name), "knn:cooccurrence"], tmp_path / "run", {"ensemble_weights": [1, 0]})
    assert (check(tmp_path / "run").items == index.items).all()


def test_nested_and_general_ensembles(trained, tmp_path):
    keys = {"eval_args": RATIO}
    ensemble([trained("BPR", **keys), "knn:features"], tmp_path / "inner", {"ensemble_weights": [1, 0.4]})
    members = [tmp_path / "inner", trained("VBPR", **keys), "knn:features:image"]
    ensemble(members, tmp_path / "outer", {"ensemble_weights": [1, 1, 0.3]})
    check(tmp_path / "inner")
    check(tmp_path / "outer")


def test_histories_of_users_that_the_run_does_not_know(trained, tmp_path):
    ensemble([trained("SASRec"), "knn:features"], tmp_path / "run", {"ensemble_weights": [1, 0.5]})
    index, recommender = ItemIndex(tmp_path / "run"), Recommender(tmp_path / "run")
    users = index.user_ids[:5]
    histories = [recommender.history(user) for user in users]
    np.testing.assert_allclose(index.query_vectors_of_histories(histories), index.query_vectors(users), atol=1e-6)
    with pytest.raises(InputError, match="item 'i99' is not in tiny"):
        index.query_vectors_of_histories([["i99"]])
    with pytest.raises(InputError, match="history 1 is empty"):
        index.query_vectors_of_histories([histories[0], []])
    with pytest.raises(InputError, match="user 'nobody' is not in tiny"):
        index.query_vectors(["nobody"])
    with pytest.raises(InputError, match="BPR: a model of this run has a vector per user"):
        ItemIndex(trained("BPR")).query_vectors_of_histories([histories[0]])


def test_a_member_without_vectors_is_refused_unless_its_weight_is_0(trained, tmp_path):
    ensemble([trained("SASRec"), "knn:cooccurrence"], tmp_path / "run", {"ensemble_weights": [1, 1]})
    with pytest.raises(InputError, match="knn:cooccurrence: the scores of SequenceKNN are no product"):
        ItemIndex(tmp_path / "run")


def test_the_command_writes_files_in_the_same_order(trained, tmp_path):
    assert main(["export", str(trained("BPR")), f"--out={tmp_path / 'index'}", "--users=u3,u1"]) == 0
    items, queries = (np.load(tmp_path / f"index/{name}.npy") for name in ("items", "queries"))
    ids, users = ((tmp_path / f"index/{name}_ids.txt").read_text().split() for name in ("item", "user"))
    expected = Recommender(trained("BPR")).scores(["u3", "u1"])
    assert users == ["u3", "u1"] and ids == list(expected.columns)
    np.testing.assert_allclose(queries @ items.T, expected.to_numpy(), atol=1e-5)
    about = json.loads((tmp_path / "index/index.json").read_text())
    assert (about["items"], about["dim"], about["score"]) == (*items.shape, "inner product")
    assert main(["export", str(trained("BPR")), f"--out={tmp_path / 'plain'}"]) == 0
    assert not (tmp_path / "plain/queries.npy").exists()
    assert main(["export", str(trained("BPR")), f"--out={tmp_path / 'x'}", "--epochs=3"]) == 2


def test_an_index_replaces_an_index_alone(trained, tmp_path):
    index = ItemIndex(trained("BPR"))
    index.write(tmp_path / "index", ["u1"])
    index.write(tmp_path / "index")
    assert not (tmp_path / "index/queries.npy").exists() and (tmp_path / "index/items.npy").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a").touch()
    for path in (tmp_path / "other", tmp_path / "other/a"):
        with pytest.raises(InputError, match="exists and is no index"):
            index.write(path)
