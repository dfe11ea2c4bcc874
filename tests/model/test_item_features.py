"""Features of a data set's items: alignment by token, missing rows, the shuffled control."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.store import find_store, write_store
from recbole_sda.features.transforms import view
from recbole_sda.model.item_features import training_graph


def test_features_are_aligned_by_token(build):
    built = build("BPR_SDA", feature_views=[])
    store = find_store(build.data_path / "tiny")
    tokens = built.data.dataset.field2id_token["item_id"]
    for item in (1, 5, 37):
        row = store.matrix("text")[store.item_ids.index(tokens[item])].float()
        assert torch.equal(built.model.items.features[1][item - 1], row)


def test_shuffled_features_are_a_permutation_of_all_modalities_together(build, caplog):
    plain, shuffled = build("BPR_SDA").model.items, build("BPR_SDA", shuffle_features=True).model.items
    assert "this run is a control" in caplog.text
    (a_image, a_text), (b_image, b_text) = plain.features, shuffled.features
    order = [int((a_text == row).all(dim=1).nonzero()[0]) for row in b_text]
    assert sorted(order) == list(range(37)) != order
    assert torch.equal(b_image, a_image[order]) and torch.equal(shuffled.present, plain.present[:, order])
    again = build("BPR_SDA", shuffle_features=True).model.items
    assert torch.equal(again.features[0], b_image)


def test_items_without_a_row_are_counted_and_masked(build, caplog, tmp_path):
    caplog.set_level("INFO")
    store = find_store(build.data_path / "tiny")
    few = slice(0, 20)
    data = {name: store.matrix(name)[few].numpy() for name in store.modalities}
    folder = build.data_path / "tiny" / "features" / "few"
    write_store(folder, store.item_ids[few], data, overwrite=True)
    try:
        model = build("SASRec_SDA", features="few", id_embedding="none").model
    finally:
        shutil.rmtree(folder)
    assert model.feature_record["items_without_row"] == 17 and model.feature_record["items_missing"]["text"] == 17
    assert "17 of them not in the store" in caplog.text
    assert (~model.items.present[1]).sum() == 17


def test_a_missing_store_is_named_with_the_commands_that_make_one(build, tmp_path):
    shutil.copytree(build.data_path / "tiny", tmp_path / "tiny", ignore=shutil.ignore_patterns("features"))
    with pytest.raises(InputError, match="no feature store in .*features import.*features extract"):
        build("SASRec_SDA", data_path=str(tmp_path))


def test_rec_pca_learns_from_training_interactions_alone(build):
    """A sequential model's last two items of each user are held out."""
    steps = ["recpca:3:2"]
    built = build("SASRec_SDA", feature_views=steps)
    store = find_store(build.data_path / "tiny")
    graph = training_graph(built.data.train._dataset, store, steps)
    log = pd.read_csv(build.data_path / "tiny/tiny.inter", sep="\t").sort_values("timestamp:float")
    log = log[log.groupby("user_id:token").cumcount(ascending=False) >= 2]
    users_of = log.groupby("item_id:token")["user_id:token"].agg(set)
    expected = np.zeros((len(store.item_ids), len(store.item_ids)))
    for a, one in enumerate(store.item_ids):
        for b, other in enumerate(store.item_ids):
            if a != b:
                u, v = users_of.get(one, set()), users_of.get(other, set())
                expected[a, b] = len(u & v) / (np.sqrt(len(u) * len(v)) + 3.0)
    np.testing.assert_allclose(graph.toarray(), expected, rtol=1e-5)
    row = store.item_ids.index(built.data.dataset.field2id_token["item_id"][5])
    torch.testing.assert_close(built.model.items.features[1][4], view(store, "text", steps, graph=graph)[row])


def test_rec_pca_of_a_general_model(build):
    steps = ["recpca:3:2"]
    built = build("BPR_SDA", feature_views=steps)
    store = find_store(build.data_path / "tiny")
    training = built.data.train._dataset
    graph = training_graph(training, store, steps)
    item_of_row = {store.item_ids.index(token): i for i, token in enumerate(training.field2id_token["item_id"]) if i}
    pairs = list(zip(training.inter_feat["user_id"].tolist(), training.inter_feat["item_id"].tolist()))
    owners = [{user for user, item in pairs if item == item_of_row[row]} for row in range(len(store.item_ids))]
    shared = np.array([[len(one & other) for other in owners] for one in owners])
    np.testing.assert_array_equal(graph.toarray() > 0, (shared > 0) & ~np.eye(len(owners), dtype=bool))
    assert built.model.feature_record["views"] == steps and built.model.feature_record["modalities"]["text"] == 3


def test_no_graph_is_made_for_views_that_use_none(build):
    training, store = build("BPR_SDA").data.train._dataset, find_store(build.data_path / "tiny")
    assert training_graph(training, store, ["center", "zca"]) is None
