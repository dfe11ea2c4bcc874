"""From an items file to a store of light features."""

import json

import pytest
from PIL import Image

from recbole_sda.errors import InputError
from recbole_sda.features.extract import extract_light
from recbole_sda.features.store import FeatureStore


def test_extract(items_file, tmp_path, caplog):
    store = FeatureStore(extract_light(items_file, tmp_path / "light", dim=3))
    assert store.item_ids == [f"i{k}" for k in range(6)]
    assert store.present("image").tolist() == [True] * 4 + [False] * 2
    assert store.present("text").all() and store.counts["text"]["dim"] == 3
    assert "unreadable image" in caplog.text and "p4.png" in caplog.text
    assert len(store.manifest["unreadable_images"]) == 1 and "p4.png" in store.manifest["unreadable_images"][0]
    assert "title, tags, price" in store.manifest["encoder"]["text"]


def test_chosen_fields(items_file, tmp_path):
    store = FeatureStore(extract_light(items_file, tmp_path / "light", 3, ["title"]))
    assert store.manifest["encoder"]["text"].endswith("over title")
    with pytest.raises(InputError, match="no item has the field 'titel'; available: title, tags, price"):
        extract_light(items_file, tmp_path / "other", 3, ["titel"])


def test_neither_texts_nor_images(tmp_path):
    (tmp_path / "items.jsonl").write_text('{"item_id": "a"}\n')
    with pytest.raises(InputError, match="neither texts nor images"):
        extract_light(tmp_path / "items.jsonl", tmp_path / "light")


def test_errors_name_the_items_file(tmp_path):
    (tmp_path / "items.jsonl").write_text('{"item_id": "a", "title": "!!!"}\n')
    with pytest.raises(InputError, match="items.jsonl: no item has a text with a word in it"):
        extract_light(tmp_path / "items.jsonl", tmp_path / "st")


def test_an_image_path_with_odd_characters_makes_a_store_that_is_read(tmp_path):
    rows = [
        {"item_id": "a", "title": "red ball", "image": "x\0y"},
        {"item_id": "b", "title": "blue kite", "image": "a.png"},
    ]
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    store = FeatureStore(extract_light(tmp_path / "items.jsonl", tmp_path / "st"))
    assert "x\ufffdy" in store.manifest["unreadable_images"][0]
