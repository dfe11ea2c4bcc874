"""Records of files in every format, with bad lines counted."""

import gzip
import json

import pandas as pd
import pytest

from dataset_prep.problems import Problems
from dataset_prep.records import csv_rows, json_lines, parse_line, read_records
from recbole_sda.errors import InputError


def test_json_python_literals_and_gzip(tmp_path):
    path = tmp_path / "x.json"  # gzipped, despite its name
    with gzip.open(path, "wt") as file:
        file.write('{"a": "1"}\n\n' + "{'a': \"it's\", 'b': None}\n")
    assert list(json_lines(path, Problems())) == [{"a": "1"}, {"a": "it's", "b": None}]


def test_code_in_a_line_is_not_run(tmp_path):
    trap = tmp_path / "trap"
    line = f"{{'a': __import__('pathlib').Path({str(trap)!r}).write_text('x')}}"
    assert parse_line(line) is None and not trap.exists()
    assert parse_line("(" * 10_000) is None and parse_line("[1, 2]") is None


def test_bad_lines_are_counted_and_listed(tmp_path):
    path, problems = tmp_path / "x.json", Problems()
    path.write_bytes(b'{"a": 1}\nbroken\n{"a": "caf\xe9"}\n{"a": 3\n')
    assert [r["a"] for r in json_lines(path, problems)] == [1, "caf\ufffd"]
    assert dict(problems.counts) == {"bad line": 2, "not UTF-8": 1}
    problems.write(tmp_path / "problems.jsonl")
    listed = [json.loads(line) for line in (tmp_path / "problems.jsonl").read_text().splitlines()]
    assert listed[0] == {"problem": "bad line", "where": f"{path}:2", "found": "broken"}


def test_a_file_of_another_format_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("user,item\n" * 5000)
    with pytest.raises(InputError, match="expected a JSON object .* per line; found 'user,item'"):
        list(json_lines(path, Problems()))
    with pytest.raises(InputError, match="does not exist"):
        list(json_lines(tmp_path / "nowhere", Problems()))


def test_a_truncated_file(tmp_path):
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 50_000)[:-60])
    with pytest.raises(InputError, match="is truncated after line"):
        list(json_lines(path, Problems()))


@pytest.mark.parametrize("separator, name", [(",", "x.csv"), (";", "x.csv"), ("\t", "x.inter")])
def test_tables(tmp_path, separator, name):
    path, problems = tmp_path / name, Problems()
    path.write_text(f"user{separator}item\nu1{separator}i1\nu2\n\nu3{separator}i3\n", encoding="utf-8-sig")
    assert list(read_records(path, problems)) == [{"user": "u1", "item": "i1"}, {"user": "u3", "item": "i3"}]
    assert problems.counts["bad line"] == 1


def test_quoted_commas(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('id,title\n1,"red, loud\nand new"\n')
    assert list(csv_rows(path, Problems())) == [{"id": "1", "title": "red, loud\nand new"}]


def test_ids_in_another_encoding_stay_different(tmp_path):
    path, problems = tmp_path / "x.csv", Problems()
    path.write_bytes("user,item\nJosé,i1\nJosè,i2\n".encode("latin-1"))
    assert [row["user"] for row in csv_rows(path, problems)] == ["Jos\\xe9", "Jos\\xe8"]
    assert problems.counts["not UTF-8"] == 2 and problems.examples[0]["where"] == f"{path}:2"


def test_a_quotation_mark_that_is_not_closed(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('id,title\n1,"red\n' + "2,blue\n" * 20_000)
    with pytest.raises(InputError, match=r"x.csv, line \d+: .*an earlier quotation mark may be open"):
        list(csv_rows(path, Problems()))


def test_parquet(tmp_path):
    path = tmp_path / "x.parquet"
    pd.DataFrame({"user": ["a", "b"], "n": [1, 2]}).to_parquet(path)
    assert list(read_records(path, Problems())) == [{"user": "a", "n": 1}, {"user": "b", "n": 2}]
    rows = [{"id": "é".encode(), "pictures": [b"a.jpg", None]}, {"id": b"\xe9", "pictures": None}]
    pd.DataFrame(rows).to_parquet(path)
    assert list(read_records(path, Problems())) == [
        {"id": "é", "pictures": ["a.jpg", None]},
        {"id": r"\xe9", "pictures": None},
    ]
    path.write_text("no")
    with pytest.raises(InputError, match="no parquet file"):
        list(read_records(path, Problems()))


def test_names_and_empty_files(tmp_path):
    with pytest.raises(InputError, match="expected a name that ends in"):
        read_records(tmp_path / "x.xlsx", Problems())
    (tmp_path / "x.csv").write_text("")
    with pytest.raises(InputError, match="is empty"):
        list(read_records(tmp_path / "x.csv", Problems()))


def test_a_lone_surrogate_is_counted(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"t": "drum \\ud83d"}\n{"t": "whole \\ud83e\\udd41"}\n')
    problems = Problems()
    texts = [record["t"] for record in json_lines(tmp_path / "a.jsonl", problems)]
    assert texts == ["drum \ufffd", "whole \U0001f941"] and problems.counts == {"lone surrogate": 1}


def test_a_carriage_return_inside_a_line(tmp_path):
    (tmp_path / "a.tsv").write_bytes(b"a\tb\r\n1\tx\ry\r\n2\tz\r\n")
    assert list(csv_rows(tmp_path / "a.tsv", Problems())) == [{"a": "1", "b": "x y"}, {"a": "2", "b": "z"}]
