"""Features of a data set's items: alignment by token, missing rows, the shuffled control."""

import shutil

import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.store import find_store, write_store


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
    assert "17 without a row" in caplog.text
    assert (~model.items.present[1]).sum() == 17


def test_a_missing_store_is_named_with_the_commands_that_make_one(build, tmp_path):
    shutil.copytree(build.data_path / "tiny", tmp_path / "tiny", ignore=shutil.ignore_patterns("features"))
    with pytest.raises(InputError, match="no feature store in .*features import.*features extract"):
        build("SASRec_SDA", data_path=str(tmp_path))
