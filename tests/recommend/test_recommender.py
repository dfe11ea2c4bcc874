"""Recommendations against the evaluation's scores, and items that came after training."""

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_sda.engine import experiment
from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore, write_store
from recbole_sda.recommend.new_items import check_same_space
from recbole_sda.recommend.recommender import Recommender


@pytest.fixture(scope="module")
def trained(data_path, tmp_path_factory):
    """Return a function that trains a model on the tiny data set once."""
    made = {}
    keys = {
        "data_path": str(data_path),
        "epochs": 2,
        "train_batch_size": 64,
        "MAX_ITEM_LIST_LENGTH": 8,
        "use_gpu": False,
    }

    def train(model, **more):
        name = (model, *sorted(more.items()))
        if name not in made:
            folder = tmp_path_factory.mktemp("runs") / "run"
            experiment.run(model, "tiny", (), {**keys, **more, "topk": [5, 10], "threads": 1, "run_dir": str(folder)})
            made[name] = folder
        return made[name]

    return train


def tiny_histories(data_path) -> dict:
    raw = pd.read_csv(data_path / "tiny/tiny.inter", sep="\t").sort_values(["user_id:token", "timestamp:float"])
    return raw.groupby("user_id:token")["item_id:token"].apply(list).to_dict()


@pytest.mark.parametrize("model", ["SASRec_SDA", "BERT4Rec_SDA", "GRU4Rec", "BPR_SDA", "LightGCN_SDA", "FREEDOM_SDA"])
def test_the_best_items_are_those_of_the_model(trained, data_path, model):
    recommender = Recommender(trained(model))
    table = pd.concat(recommender.top(k=5))
    histories = tiny_histories(data_path)
    assert set(table["user_id"]) == set(histories) and (table.groupby("user_id").size() == 5).all()
    assert (table["rank"] == table.groupby("user_id").cumcount() + 1).all()
    for user, rows in table.groupby("user_id"):
        assert recommender.history(user) == histories[user]
        assert not set(rows["item_id"]) & set(histories[user]) and rows["score"].is_monotonic_decreasing
    # by hand for one user: the model's own scores of the whole history
    user, model_ = "u7", recommender.model
    ids = torch.tensor([[recommender.items.tolist().index(item) for item in histories[user]][-8:]])
    fields = {recommender.dataset.uid_field: torch.tensor([recommender.users[user]])}
    if hasattr(model_, "ITEM_SEQ"):
        fields |= {model_.ITEM_SEQ: torch.nn.functional.pad(ids, (0, 8 - ids.shape[1]))}
        fields |= {model_.ITEM_SEQ_LEN: torch.tensor([ids.shape[1]])}
    from recbole.data.interaction import Interaction

    with torch.no_grad():
        scores = model_.full_sort_predict(Interaction(fields)).flatten()
    allowed = [k for k, item in enumerate(recommender.items) if k and item not in histories[user]]
    best = sorted(allowed, key=lambda k: -scores[k])[:5]
    assert table[table["user_id"] == user]["item_id"].tolist() == recommender.items[best].tolist()


def test_blocks_do_not_change_what_is_recommended(trained, monkeypatch):
    whole = pd.concat(Recommender(trained("SASRec_SDA")).top(k=4), ignore_index=True)
    monkeypatch.setattr("recbole_sda.recommend.recommender.BLOCK_SCORES", 40 * 3)
    blocks = list(Recommender(trained("SASRec_SDA")).top(k=4))
    assert len(blocks) > 10
    parts = pd.concat(blocks, ignore_index=True)
    assert parts.drop(columns="score").equals(whole.drop(columns="score"))
    assert np.allclose(parts["score"], whole["score"], atol=1e-5)


def test_repeats_are_a_choice(trained, data_path):
    some = pd.concat(Recommender(trained("SASRec_SDA"), repeat=True).top(["u1", "u2"], k=37 - 1))
    assert set(tiny_histories(data_path)["u1"]) <= set(some[some["user_id"] == "u1"]["item_id"])
    with pytest.raises(InputError, match="user 'u99' is not in tiny"):
        next(Recommender(trained("SASRec_SDA")).top(["u99"]))
    with pytest.raises(InputError, match="k=38: expected"):
        next(Recommender(trained("SASRec_SDA")).top(k=38))


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
@pytest.mark.parametrize("views", ["[center,l2]", "[whiten:4]"])
def test_a_new_item_with_the_features_of_a_known_one_gets_its_score(trained, data_path, tmp_path, model, views):
    """Where features alone make the embedding."""
    import yaml

    run = trained(model, id_embedding="none", feature_views=tuple(yaml.safe_load(views)))
    recommender = Recommender(run, new_items=str(new_store(data_path, tmp_path)), repeat=True)
    assert recommender.new.ids == ["new3", "new5", "new8"]
    table = pd.concat(recommender.top(k=39))
    scores = table.pivot(index="user_id", columns="item_id", values="score")
    bias = dict.fromkeys(("i3", "i5", "i8"), 0.0)
    if model == "BERT4Rec_SDA":  # a new item has the median bias, not its twin's
        values = recommender.model.output_bias.detach()
    if model == "TransRec_SDA":
        values = recommender.model.bias.weight.detach().flatten()
    if model in ("BERT4Rec_SDA", "TransRec_SDA"):
        bias = {item: float(values[recommender.items.tolist().index(item)] - values.median()) for item in bias}
    for new, twin in (("new3", "i3"), ("new5", "i5"), ("new8", "i8")):
        both = scores[[new, twin]].dropna()
        assert len(both) > 10
        assert np.allclose(both[new], both[twin] - bias[twin], atol=1e-4), new
    assert table.groupby("item_id")["new"].first()[["new3", "i3"]].tolist() == [True, False]
    plain = pd.concat(Recommender(run, repeat=True).top(k=36)).pivot(index="user_id", columns="item_id", values="score")
    shared = plain.stack().index.intersection(scores.stack().index)
    assert np.allclose(plain.stack()[shared], scores.stack()[shared], atol=1e-5)  # the others keep their scores


@pytest.mark.parametrize(
    "model, message",
    [
        ("SASRec", "embeds items by their features alone; SASRec does not"),
        ("FREEDOM_SDA", "embeds items by their features alone; FREEDOM_SDA does not"),
        ("LightGCN_SDA", "cannot score items that it was not trained on"),
    ],
)
def test_models_that_cannot_say_so(trained, data_path, tmp_path, model, message):
    with pytest.raises(InputError, match=message):
        next(Recommender(trained(model), new_items=str(new_store(data_path, tmp_path))).top(k=3))


def test_new_items_without_any_vector_are_left_out(trained, data_path, tmp_path, caplog):
    """They would all be embedded alike, and could stand before all others."""
    run = trained("BPR_SDA", id_embedding="none")
    recommender = Recommender(run, new_items=str(new_store(data_path, tmp_path, blank=[0, 2])))
    assert recommender.new.ids == ["new5"]
    assert "2 new items without any vector of image and text are left out: new3, new8" in caplog.text
    with pytest.raises(InputError, match="no new item has a vector of image or text"):
        Recommender(run, new_items=str(new_store(data_path, tmp_path / "b", blank=[0, 1, 2])))


def test_stores_of_another_encoder_are_refused(trained, data_path, tmp_path):
    with pytest.raises(InputError, match="their vectors do not compare"):
        Recommender(trained("SASRec_SDA"), new_items=str(new_store(data_path, tmp_path, {"model": "other"})))
    with pytest.raises(InputError, match="holds no item that the run's data set lacks"):
        Recommender(trained("SASRec_SDA"), new_items=str(data_path / "tiny/features/random"))


def store_of(path, model, ids, scale=1.0, **told):
    rng = np.random.default_rng(0)
    rows = {token: rng.normal(size=4) for token in ("a", "b", "c", "d")}
    features = {"text": np.stack([scale * rows[token] for token in ids]).astype(np.float32)}
    return FeatureStore(write_store(path, list(ids), features, {}, {"encoder": {"model": model}, **told}))


@pytest.mark.parametrize(
    "model, message", [("light", "fitted on each catalogue anew"), (None, "encoder is not recorded")]
)
def test_vectors_of_an_encoder_that_tells_too_little_must_share_items(tmp_path, model, message):
    ours = store_of(tmp_path / "ours", model, "abc")
    with pytest.raises(InputError, match=message):
        check_same_space(ours, store_of(tmp_path / "apart", model, "d"), ["text"])
    check_same_space(ours, store_of(tmp_path / "shared", model, "dc"), ["text"])
    with pytest.raises(InputError, match="have other text vectors there"):
        check_same_space(ours, store_of(tmp_path / "fitted-anew", model, "dc", scale=1.2), ["text"])
    known = store_of(tmp_path / "known", "m", "abc", l2=False)
    check_same_space(known, store_of(tmp_path / "new", "m", "d", l2=False), ["text"])
    with pytest.raises(InputError, match="new-l2 was made with l2 True, the run's features with False"):
        check_same_space(known, store_of(tmp_path / "new-l2", "m", "d", l2=True), ["text"])
