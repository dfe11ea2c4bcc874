"""The items file: what is read, and what is refused with its line."""

import json

import pytest

from recbole_sda.errors import InputError
from recbole_sda.features.items_file import field_text, item_text, read_items


def test_item_text():
    item = {"title": "Drum", "tags": ["a", "b"], "price": 3.5, "brand": "", "none": None}
    assert item_text(item, ["title", "tags", "price", "brand", "none", "absent"]) == "Drum\na, b\n3.5"


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "holds no items"),
        ('{"item_id": "a"}\n{broken', "line 2 is not JSON"),
        ('["a"]', "line 1: expected an object with an 'item_id'"),
        ('{"title": "x"}', "line 1: expected an object with an 'item_id'"),
        ('{"item_id": null}', "line 1: an id is missing"),
        ('{"item_id": NaN}', "line 1: an id is missing"),
        ('{"item_id": "a"}\n\n{"item_id": ["a"]}', "line 3: .* is no id"),
        ('{"item_id": "a"}\n{"item_id": " a"}', "line 2: item_id 'a' occurs more than once"),
        ('{"item_id": 1}\n{"item_id": 1.0}', "line 2: item_id '1' occurs more than once"),
        ('{"item_id": "a", "image": ["a.jpg"]}', "line 1: image=.*expected the path of one image file, or null"),
        ('{"item_id": "a", "image": 5}', "line 1: image=5"),
        ('{"item_id": "a", "image": "https://x.invalid/a.jpg"}', "line 1: .*fetches images"),
        ("[" * 100_000, "line 1 is not JSON"),
        ('{"item_id": ' + "1" * 5000 + "}", "line 1 is not JSON"),
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


def test_ids_and_images_have_one_form(tmp_path):
    lines = [
        '{"item_id": 7, "image": NaN}',
        '{"item_id": 8.0, "image": ""}',
        '{"item_id": " B0\\t1 ", "image": "a.jpg"}',
    ]
    (tmp_path / "items.jsonl").write_text("\r\n".join(lines), encoding="utf-8-sig")
    found = [(item["item_id"], item["image"]) for item in read_items(tmp_path / "items.jsonl")]
    assert found == [("7", None), ("8", None), ("B0 1", "a.jpg")]


def test_texts_of_objects_and_missing_values():
    assert field_text({"Colour": "red", "Size": {"cm": 3}, "none": None}) == "Colour: red, Size: cm: 3"
    assert field_text(float("nan")) == field_text(None) == field_text([]) == "" and field_text(0) == "0"
