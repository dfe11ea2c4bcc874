"""Items that were added after training."""

import numpy as np
import pandas as pd
import pytest

from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore, write_store
from recbole_sda.recommend.new_items import check_same_space
from recbole_sda.recommend.recommender import Recommender

from ..conftest import WAYS_OFF

IDS = {"item_encoder": "identity", "cmsa_weight": 0.0, **WAYS_OFF}

TWINS = {"new3": "i3", "new5": "i5", "new8": "i8"}


def new_store(data_path, tmp_path, encoder=None, blank=()):
    """Write a store with three new items, of which the first is a copy of i3 and the second of i5, and one known item."""
    old = FeatureStore(data_path / "tiny/features/random")
    rows = [old.item_ids.index(item) for item in ("i3", "i5", "i8", "i9")]
    features = {name: old.matrix(name)[rows].numpy() for name in old.modalities}
    present = {name: old.present(name)[rows].numpy() for name in old.modalities}
    for name in present:
        present[name][list(blank)] = False
    record = {"encoder": encoder or old.manifest["encoder"]}
    return write_store(tmp_path / "new", ["new3", "new5", "new8", "i9"], features, present, record)


@pytest.mark.parametrize("model", ["SASRec_SDA", "BERT4Rec_SDA", "GRU4Rec_SDA", "BPR_SDA", "TransRec_SDA"])
@pytest.mark.parametrize("views", ["[center,l2]", "[whiten:4]", "[zca:2,recpca:4:0.5]"])
def test_a_new_item_with_the_features_of_a_known_one_gets_its_score(trained, data_path, tmp_path, model, views):
    """Where features alone make the embedding. A bias is the mean of the neighbours', of which the twin is by far the nearest."""
    import yaml

    run = trained(model, id_embedding="none", feature_views=tuple(yaml.safe_load(views)))
    recommender = Recommender(run, new_items=str(new_store(data_path, tmp_path)), repeat=True)
    assert recommender.new.ids == ["new3", "new5", "new8"]
    table = pd.concat(recommender.top(k=39))
    scores = table.pivot(index="user_id", columns="item_id", values="score")
    tolerance = {"BERT4Rec_SDA": 2e-2, "TransRec_SDA": 2e-2}.get(model, 1e-4)
    for new, twin in TWINS.items():
        both = scores[[new, twin]].dropna()
        assert len(both) > 10
        assert np.allclose(both[new], both[twin], atol=tolerance), new
    assert table.groupby("item_id")["new"].first()[["new3", "i3"]].tolist() == [True, False]
    plain = pd.concat(Recommender(run, repeat=True).top(k=36)).pivot(index="user_id", columns="item_id", values="score")
    shared = plain.stack().index.intersection(scores.stack().index)
    assert np.allclose(plain.stack()[shared], scores.stack()[shared], atol=1e-5)  # the others keep their scores


@pytest.mark.parametrize(
    "model, keys",
    [
        ("SASRec_SDA", {}),
        ("SASRec_SDA", {**IDS, "id_start": "features"}),
        ("BPR_SDA", {**IDS, "id_smoothing": 0.5}),
        ("LightGCN_SDA", {}),
        ("SGL_SDA", {}),
        ("VBPR", {}),
        ("FREEDOM_SDA", {}),
        ("MGCN", {"modalities": ("text",)}),
    ],
)
def test_a_new_item_ranks_beside_the_known_one_that_it_is_a_copy_of(trained, data_path, tmp_path, model, keys):
    recommender = Recommender(
        trained(model, cold_item_scale=1.0, **keys), new_items=str(new_store(data_path, tmp_path))
    )
    ranks = recommender.scores(recommender.user_tokens[1:].tolist()).rank(axis=1, ascending=False)
    for new, twin in TWINS.items():
        assert (ranks[new] - ranks[twin]).abs().mean() < 2.5, new


@pytest.mark.parametrize("model, keys", [("SASRec", {}), ("SASRec_SDA", IDS)])
def test_models_that_read_no_features_are_refused(trained, data_path, tmp_path, model, keys):
    with pytest.raises(InputError, match=f"reads item features, and {model} does not with the keys of this run"):
        Recommender(trained(model, **keys), new_items=str(new_store(data_path, tmp_path)))


def test_a_model_that_scores_single_items_is_refused(trained, data_path, tmp_path):
    with pytest.raises(InputError, match="ConvNCF_SDA scores single items only"):
        Recommender(trained("ConvNCF_SDA"), new_items=str(new_store(data_path, tmp_path))).scores(["u1"])


def test_new_items_without_any_vector_are_left_out(trained, data_path, tmp_path, caplog):
    """They would all be embedded alike, and could stand before all others."""
    run = trained("BPR_SDA", id_embedding="none")
    recommender = Recommender(run, new_items=str(new_store(data_path, tmp_path, blank=[0, 2])))
    assert recommender.new.ids == ["new5"]
    assert "2 new items have no vector of image and text and are left out: new3, new8" in caplog.text
    with pytest.raises(InputError, match="no new item has a vector of image or text"):
        Recommender(run, new_items=str(new_store(data_path, tmp_path / "b", blank=[0, 1, 2])))


def test_stores_of_another_encoder_are_refused(trained, data_path, tmp_path):
    with pytest.raises(InputError, match="their vectors are not comparable"):
        Recommender(trained("SASRec_SDA"), new_items=str(new_store(data_path, tmp_path, {"model": "other"})))
    with pytest.raises(InputError, match="has no item that the run's data set does not have"):
        Recommender(trained("SASRec_SDA"), new_items=str(data_path / "tiny/features/random"))


def store_of(path, model, ids, scale=1.0, **told):
    rng = np.random.default_rng(0)
    rows = {token: rng.normal(size=4) for token in ("a", "b", "c", "d")}
    features = {"text": np.stack([scale * rows[token] for token in ids]).astype(np.float32)}
    return FeatureStore(write_store(path, list(ids), features, {}, {"encoder": {"model": model}, **told}))


@pytest.mark.parametrize(
    "model, message", [("light", "fitted on the catalogue of each store"), (None, "encoder is not recorded")]
)
def test_vectors_of_an_unidentified_encoder_must_share_items(tmp_path, model, message):
    ours = store_of(tmp_path / "ours", model, "abc")
    with pytest.raises(InputError, match=message):
        check_same_space(ours, store_of(tmp_path / "apart", model, "d"), ["text"])
    check_same_space(ours, store_of(tmp_path / "shared", model, "dc"), ["text"])
    with pytest.raises(InputError, match="its text vectors of items that .* also has are different"):
        check_same_space(ours, store_of(tmp_path / "fitted-anew", model, "dc", scale=1.2), ["text"])
    known = store_of(tmp_path / "known", "m", "abc", l2=False)
    check_same_space(known, store_of(tmp_path / "new", "m", "d", l2=False), ["text"])
    with pytest.raises(InputError, match="new-l2 was made with l2 True, the features of the run with False"):
        check_same_space(known, store_of(tmp_path / "new-l2", "m", "d", l2=True), ["text"])


def test_new_items_are_columns_of_the_scores(trained, data_path, tmp_path):
    recommender = Recommender(trained("BERT4Rec_SDA"), new_items=new_store(data_path, tmp_path))  # has a mask row too
    scores = recommender.scores(["u1"])
    assert scores.columns.tolist() == [*recommender.item_tokens[1:], "new3", "new5", "new8"]
