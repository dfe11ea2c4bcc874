"""Titles and images of items."""

import pytest

from recbole_sda.errors import InputError
from recbole_sda.recommend.item_titles import Item, read_titles, thumbnail


def test_titles_and_images(tmp_path, items_file):
    found = read_titles(items_file.parent, "x")
    assert found["i1"].title == "blue drum" and thumbnail(found["i1"].image).startswith("data:image/jpeg;base64,")
    assert thumbnail(found["i4"].image) is None and found["i5"].image is None  # no picture inside, none named
    (tmp_path / "y.item").write_text('item_id:token\ttitle:token_seq\timage:token\n7\tThe "best"\t7.png\n8\t\t\n')
    (tmp_path / "other").mkdir()
    items_file.unlink()
    found = read_titles(tmp_path, "y")
    assert found["7"] == Item('The "best"', tmp_path / "7.png") and found["8"] == Item(None, None)
    assert read_titles(tmp_path, "y", id_field="asin") == {} == read_titles(tmp_path / "other", "z")
    path = tmp_path / "y.item"
    path.write_text(path.read_text().replace("item_id:token", "asin:token"))
    assert read_titles(tmp_path, "y", id_field="asin") == found


def test_titles_in_a_field_of_another_name(tmp_path):
    (tmp_path / "items.jsonl").write_text(
        '{"item_id": 1, "name": "drum", "label": NaN}\n{"item_id": 2, "label": "flute"}\n'
    )
    assert [item.title for item in read_titles(tmp_path, "x").values()] == ["drum", None]
    assert [item.title for item in read_titles(tmp_path, "x", title_field="label").values()] == [None, "flute"]
    with pytest.raises(InputError, match="no item has the field 'labels'.*Did you mean 'label'"):
        read_titles(tmp_path, "x", title_field="labels")


@pytest.mark.parametrize("name", ["items.jsonl", "tiny.item"])
def test_what_is_no_file_is_not_skipped(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name} is a folder"):
        read_titles(tmp_path, "tiny")
