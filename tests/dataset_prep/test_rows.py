"""Rows of interactions: times, tokens, and records that are incomplete."""

from datetime import datetime, timedelta, timezone

import pytest

from dataset_prep.problems import Problems
from dataset_prep.rows import parse_rows, seconds, token
from recbole_sda.errors import InputError


@pytest.mark.parametrize(
    "value, per_second, expected",
    [
        ("1400000000", 1, 1_400_000_000),
        (1_400_000_000_500, 1000, 1_400_000_000.5),
        ("2014-05-01", 1, 1_398_902_400),
        ("2014-05-01T10:00:00", 1000, 1_398_938_400),
        (datetime(2014, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))), 1, 1_398_938_400),
    ],
)
def test_times(value, per_second, expected):
    assert seconds(value, per_second) == expected


@pytest.mark.parametrize("value", ["noon", "inf", None])
def test_other_values_are_not_times(value):
    with pytest.raises(ValueError):
        seconds(value)


def test_tokens():
    assert [token(value) for value in (3.0, 3.5, " a \t b\n", 7)] == ["3", "3.5", "a b", "7"]


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
