"""From an items file to a store of light features."""

import json

import pytest

from recbole_sda.errors import InputError
from recbole_sda.features.extract import extract_light, item_text, read_items
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


def test_item_text():
    item = {"title": "Drum", "tags": ["a", "b"], "price": 3.5, "brand": "", "none": None}
    assert item_text(item, ["title", "tags", "price", "brand", "none", "absent"]) == "Drum\na, b\n3.5"


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "holds no items"),
        ('{"item_id": "a"}\n{broken', "line 2: not JSON"),
        ('["a"]', "line 1: expected an object with an 'item_id'"),
        ('{"title": "x"}', "line 1: expected an object with an 'item_id'"),
    ],
)
def test_bad_items_files(tmp_path, content, message):
    path = tmp_path / "items.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_items(path)
    with pytest.raises(InputError, match="does not exist"):
        read_items(tmp_path / "none.jsonl")


def test_other_line_separators_of_unicode_do_not_end_a_line(tmp_path):
    titles = ["Tea\u2028cup", "Vase\u0085", "Chair\x0b"]
    lines = [json.dumps({"item_id": f"i{k}", "title": title}, ensure_ascii=False) for k, title in enumerate(titles)]
    (tmp_path / "items.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert [item["title"] for item in read_items(tmp_path / "items.jsonl")] == titles


def test_neither_texts_nor_images(tmp_path):
    (tmp_path / "items.jsonl").write_text('{"item_id": "a"}\n')
    with pytest.raises(InputError, match="neither texts nor images"):
        extract_light(tmp_path / "items.jsonl", tmp_path / "light")
