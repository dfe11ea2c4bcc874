"""Recommendations against the model's own scores."""

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.recommend.recommender import Recommender


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
    ids = torch.tensor([[recommender.item_tokens.tolist().index(item) for item in histories[user]][-8:]])
    fields = {recommender.dataset.uid_field: torch.tensor([recommender.user_ids[user]])}
    if hasattr(model_, "ITEM_SEQ"):
        fields |= {model_.ITEM_SEQ: torch.nn.functional.pad(ids, (0, 8 - ids.shape[1]))}
        fields |= {model_.ITEM_SEQ_LEN: torch.tensor([ids.shape[1]])}
    from recbole.data.interaction import Interaction

    with torch.no_grad():
        scores = model_.full_sort_predict(Interaction(fields)).flatten()
    allowed = [k for k, item in enumerate(recommender.item_tokens) if k and item not in histories[user]]
    best = sorted(allowed, key=lambda k: -scores[k])[:5]
    assert table[table["user_id"] == user]["item_id"].tolist() == recommender.item_tokens[best].tolist()


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


def test_scores_are_those_of_the_recommendations(trained):
    recommender = Recommender(trained("SASRec_SDA"))
    scores = recommender.scores(["u3", "u1"])
    assert scores.index.tolist() == ["u3", "u1"] and scores.columns.tolist() == recommender.item_tokens[1:].tolist()
    table = pd.concat(recommender.top(["u3", "u1"], k=5))
    assert [scores.loc[row.user_id, row.item_id] for row in table.itertuples()] == table["score"].tolist()
    with pytest.raises(InputError, match="user 'u99' is not in tiny"):
        recommender.scores(["u99"])
    with pytest.raises(InputError, match="user 'u99' is not in tiny"):
        recommender.history("u99")


def test_reading_a_run_writes_nothing_to_its_folder(trained):
    folder = trained("BPR_SDA")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    list(Recommender(folder).top(["u1"], 3))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
