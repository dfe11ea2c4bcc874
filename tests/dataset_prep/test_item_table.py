"""Tables of items: text fields, titles, images, and columns that are left out."""

import json

import pandas as pd
import pytest

from dataset_prep.item_table import ItemColumns, columns_of, read_items
from dataset_prep.problems import Problems
from recbole_sda.errors import InputError


@pytest.fixture
def table(tmp_path):
    """A function: columns of a table of two items, a and b -> its path."""

    def write(**columns):
        pd.DataFrame({"item_id": ["a", "b"], **columns}).to_csv(tmp_path / "items.csv", index=False)
        return tmp_path / "items.csv"

    return write


def test_a_column_of_images_is_no_text(table, caplog):
    path = table(name=["drum", "flute"], photo=["https://x.invalid/a.JPG?w=200", "b.png"], file=["a.jpg", None])
    items = read_items(path, ["a", "b"], ItemColumns(), Problems())
    assert items["a"].fields == {"name": "drum"} and not items["a"].image_sources
    assert "column 'photo' names images; --image-col photo fetches them" in caplog.text
    items = read_items(path, ["a", "b"], ItemColumns(image="photo"), Problems())
    assert items["b"].image_sources == ["b.png"] and "file" not in items["b"].fields
    assert read_items(path, ["a"], ItemColumns(texts=["file"]), Problems())["a"].fields == {"file": "a.jpg"}


def test_columns_that_are_left_out_are_named(table, caplog):
    caplog.set_level("INFO")
    read_items(table(name=["drum", "flute"], stock=[1, 2]), ["a"], ItemColumns(texts=["name"]), Problems())
    assert "items.csv: left out: stock (see --text-cols, --image-col)" in caplog.text


def test_the_column_of_titles(table):
    path = table(name=["drum", "flute"], about=["red", "blue"])
    items = read_items(path, ["a"], ItemColumns(title="name"), Problems())
    assert items["a"].fields == {"title": "drum", "about": "red"} and columns_of(items)[0] == ("title", "token_seq")
    assert (
        read_items(path, ["a"], ItemColumns(texts=["about"], title="name"), Problems())["a"].fields["title"] == "drum"
    )
    with pytest.raises(InputError, match="columns 'name' and 'title' would both be the field 'title'"):
        read_items(table(name=["x", "y"], title=["x", "y"]), ["a"], ItemColumns(title="name"), Problems())


def test_values_that_are_missing_or_no_addresses(tmp_path):
    rows = [
        {"item_id": "a", "photo": float("nan"), "price": "n/a", "details": {"Colour": "red"}},
        {"item_id": "b", "photo": [None, "b.png"], "price": "#c45500"},
        {"item_id": "c", "photo": {"bytes": "x"}},
    ]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    problems = Problems()
    items = read_items(tmp_path / "items.jsonl", "abc", ItemColumns(image="photo"), problems)
    assert [item.image_sources for item in items.values()] == [[], ["b.png"], []]
    assert items["a"].fields == {"price": None, "details": "Colour: red"}
    assert problems.counts == {"price that cannot be read": 1, "image that is no address or file name": 1}
