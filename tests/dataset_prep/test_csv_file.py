"""CSV files: no stray quotation mark swallows rows, and no column is lost."""

import gzip

import pytest

from dataset_prep.__main__ import main
from dataset_prep.csv_file import csv_rows
from dataset_prep.problems import Problems
from recbole_sda.errors import InputError

ROWS = [f"u{k % 12},i{k},{k}" for k in range(240)]


def write(path, rows, header="user_id,item_id,time"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def read(path, columns=None):
    problems = Problems()
    return list(csv_rows(path, problems, columns)), problems


@pytest.mark.parametrize(
    "changes, message",
    [
        ({40: 'u4,"i40,40'}, "an earlier quotation mark may be open"),
        ({40: 'u4,"i40,40', 200: 'u8,"i200,200'}, "quotation mark may be open"),
        ({40: 'u4,"i40,40', 200: 'u8,i200",200'}, "159 lines that look like rows; a quotation mark is stray"),
        ({40: 'u4,"i40"x,40'}, "line 42: .* expected after"),
    ],
)
def test_stray_quotation_marks(tmp_path, changes, message):
    path = write(tmp_path / "t.csv", [changes.get(k, row) for k, row in enumerate(ROWS)])
    with pytest.raises(InputError, match=f"t.csv.*{message}"):
        read(path)


def test_texts_of_several_lines(tmp_path):
    path = write(tmp_path / "t.csv", ['a,"one\ntwo\nthree, four",1', 'b,"5"" long",2', 'c,5" long,3'])
    rows, problems = read(path)
    assert [row["item_id"] for row in rows] == ["one\ntwo\nthree, four", '5" long', '5" long'] and not problems.examples


@pytest.mark.parametrize("header, columns", [("user_id,item_id,item_id", None), ("a,b,c", ["user_id", "x", "x"])])
def test_a_column_twice(tmp_path, header, columns):
    with pytest.raises(InputError, match="the column '(item_id|x)' occurs twice"):
        read(write(tmp_path / "t.csv", ROWS, header), columns)


def test_files_of_another_kind(tmp_path):
    path = tmp_path / "t.csv"
    for content, message in (
        ("user_id,item_id\n".encode("utf-16"), "t.csv is in UTF-16; expected UTF-8"),
        (gzip.compress(b"user_id,item_id\na,b\n" * 99)[:40], "t.csv is truncated after line"),
        (b"\x1f\x8b\x08" + bytes(32), "t.csv is truncated after line 0"),
        (b"", "t.csv is empty"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read(path)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    rows, _ = read(write(tmp_path / "t.csv", ROWS, "\ufeffuser_id,item_id,time"))
    assert rows[0]["user_id"] == "u0" and len(rows) == 240


@pytest.mark.parametrize(
    "option",
    ["--ratio=nan 1 1", "--ratio=8 -1 1", "--ratio=inf 1 1", "--k-core=-3", "--k-core=1.5", "--k-core=99999999999999999999",
     "--min-rating=nan", "--max-history=0", "--max-history=-1", "--per-second=inf", "--workers=0", "--start=nan"],
)  # fmt: skip
def test_numbers_of_the_command_line(tmp_path, capsys, option):
    path = write(tmp_path / "t.csv", ROWS)
    name, _, values = option.partition("=")
    first, *others = values.split()
    argv = ["table", "--name=T", f"--inter={path}", f"--out={tmp_path}/d", f"{name}={first}" if not others else name]
    with pytest.raises(SystemExit) as ended:
        main([*argv, *([first, *others] if others else [])])
    assert ended.value.code == 2 and f"argument {name}" in capsys.readouterr().err
