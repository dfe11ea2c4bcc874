"""Rows of interactions: ids, and records that are incomplete."""

import pytest

from dataset_prep.problems import Problems
from dataset_prep.rows import parse_rows
from recbole_sda.errors import InputError


def test_incomplete_records_are_counted():
    fields, problems = {"user": "u", "item": "i", "time": "t", "rating": "r"}, Problems()
    records = [
        {"u": 1, "i": "x", "t": 5, "r": ""},
        {"u": 1, "i": " ", "t": 5},
        {"u": 2, "i": "y"},
        {"u": 2, "i": "y", "t": 6, "r": "4"},
    ]
    assert list(parse_rows(records, fields, "f.csv", problems)) == [("1", "x", None, 5), ("2", "y", 4.0, 6)]
    assert problems.counts == {"incomplete interaction": 2} and problems.examples[0]["where"] == "f.csv, record 2"


def test_records_with_other_fields_are_refused():
    with pytest.raises(InputError, match="f.csv: expected records with u, i; found a, b"):
        list(parse_rows([{"a": 1, "b": 2}] * 300, {"user": "u", "item": "i"}, "f.csv", Problems()))
    with pytest.raises(InputError, match="found no record at all"):
        list(parse_rows([], {"user": "u", "item": "i"}, "f.csv", Problems()))


def test_ids_have_one_form():
    records = [{"u": 3.0, "i": " a \t b\n"}, {"u": 7, "i": b"a"}, {"u": float("nan"), "i": "a"}, {"u": "", "i": "a"}]
    problems = Problems()
    rows = list(parse_rows(records, {"user": "u", "item": "i"}, "f.csv", problems))
    assert [row[:2] for row in rows] == [("3", "a b"), ("7", "a")] and problems.counts == {"incomplete interaction": 2}


@pytest.mark.parametrize("value", [["a"], {"id": "a"}, True, 1.5, "[PAD]"])
def test_what_is_no_id_is_refused(value):
    with pytest.raises(InputError, match="f.csv, record 2, i: "):
        list(parse_rows([{"u": 1, "i": 1}, {"u": 1, "i": value}], {"user": "u", "item": "i"}, "f.csv", Problems()))
