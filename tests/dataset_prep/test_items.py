"""Fields of items, and the items of a file that are wanted."""

import pytest

from dataset_prep.items import Item, gather, names_in, price_field, text_without_code
from dataset_prep.problems import Problems
from recbole_sda.errors import InputError


def test_fields_that_cannot_be_read_are_counted():
    problems = Problems()
    assert text_without_code("A <b>drum</b>", "a, title", problems) == "A drum"
    assert text_without_code("var t0 = new Date().getTime();", "a, title", problems) == ""
    assert price_field("$3", "a, price", problems) == 3.0 and price_field("None", "a, price", problems) is None
    assert price_field(".a{color:#c45500}", "b, price", problems) is None
    assert problems.counts == {"program code instead of a text": 1, "price that cannot be read": 1}
    assert [example["where"] for example in problems.examples] == ["a, title", "b, price"]


def test_names():
    assert names_in([["Music", "Drums &amp; Co"], ["Music"], "</span></span>", None]) == ["Music", "Drums & Co"]


def test_only_wanted_items_are_read():
    problems, read = Problems(), []

    def item(item_id, record):
        read.append(record)
        return Item(item_id)

    records = [{"id": 1.0}, {"id": "2"}, {"id": " 1"}, {"id": None}, {"x": 1}, {"id": float("nan")}]
    found = gather(records, {"1", "3"}, "id", item, problems, "m.json")
    assert list(found) == ["1"] and read == [{"id": 1.0}]
    assert problems.counts == {"repeated item": 1, "item without an id": 3, "item without metadata": 1}
    with pytest.raises(InputError, match="m.json, record 1, id: "):
        gather([{"id": ["1"]}], {"1"}, "id", item, problems, "m.json")
