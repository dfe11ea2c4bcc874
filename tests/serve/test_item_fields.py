"""Values of fields from both files of items."""

from recbole_sda.recommend.item_titles import read_rows
from recbole_sda.serve.item_fields import item_fields


def test_an_item_file_has_sequences_and_single_values(tmp_path):
    text = "item_id:token\tkinds:token_seq\tbrand:token\ni1\tred old\tBig Co\ni2\told\t\ni9\tblue\tBig Co\n"
    (tmp_path / "shop.item").write_text(text)
    fields = item_fields(["kinds", "brand"], [read_rows(tmp_path, "shop")], {"i1": 1, "i2": 2})
    assert {name: {v: c.tolist() for v, c in values.items()} for name, values in fields.items()} == {
        "kinds": {"red": [1], "old": [1, 2]},
        "brand": {"Big Co": [1]},
    }


def test_new_items_have_the_values_of_their_own_file(tmp_path):
    (tmp_path / "shop.item").write_text("item_id:token\tkind:token\ni1\told\n")
    (tmp_path / "new.jsonl").write_text('{"item_id": "n1", "kind": ["old", 7, ""]}\n{"item_id": "n2", "kind": null}\n')
    sources = [read_rows(tmp_path, "shop"), read_rows(tmp_path, "", str(tmp_path / "new.jsonl"))]
    (values,) = item_fields(["kind"], sources, {"i1": 1, "n1": 5, "n2": 6}).values()
    assert {value: columns.tolist() for value, columns in values.items()} == {"old": [1, 5], "7": [5]}
