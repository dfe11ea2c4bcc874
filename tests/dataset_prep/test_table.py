"""Tables of interactions: with and without a header, columns that are left out, units of time."""

import pandas as pd
import pytest

from dataset_prep.__main__ import main

ROWS = [(f"A{u}", f"00000{k}X", 5.0, 1_400_000_000 + u * 10 + k * 86400 * 300) for u in range(6) for k in range(6)]
NAMES = ("user_id", "item_id", "rating", "timestamp")


def prepare(folder, *more, rows=ROWS, header=False):
    pd.DataFrame(rows, columns=NAMES).to_csv(folder / "r.csv", index=False, header=header)
    given = [
        "table",
        "--name",
        "S",
        "--inter",
        str(folder / "r.csv"),
        "--out",
        str(folder),
        "--no-images",
        "--k-core",
        "0",
    ]
    return main([*given, *more])


def inter(folder):
    return pd.read_csv(folder / "S/S.inter", sep="\t", dtype=str)


def test_a_file_without_a_header(tmp_path, capsys):
    assert prepare(tmp_path) == 2
    assert "if the first line is not a header, name the columns by --columns" in capsys.readouterr().err
    columns = ("--rating-col", "rating", "--time-col", "timestamp", "--columns", *NAMES)
    assert prepare(tmp_path, *columns) == 0
    without = inter(tmp_path)
    assert len(without) == 36 and without["item_id:token"][0] == "000000X" and set(without["rating:float"]) == {"5"}
    assert prepare(tmp_path, *columns[:4], header=True) == 0
    assert inter(tmp_path).equals(without)
    assert prepare(tmp_path, "--columns", "user_id", "item_id") == 2
    assert "--columns names 2 columns, its first line has 4: 'A0,000000X,5.0,1400000000'" in capsys.readouterr().err


def test_columns_that_are_left_out_are_named(tmp_path, caplog):
    caplog.set_level("INFO")
    assert prepare(tmp_path, "--time-col", "timestamp", header=True) == 0
    assert "r.csv: left out: rating (see --time-col, --rating-col)" in caplog.text


@pytest.mark.parametrize("unit, factor", [("ms", 1_000), ("us", 1_000_000), ("ns", 1_000_000_000)])
def test_other_units_of_time(tmp_path, caplog, capsys, unit, factor):
    rows = [(u, i, r, t * factor) for u, i, r, t in ROWS]
    given = ("--time-col", "timestamp")
    assert (
        prepare(tmp_path, *given, "--split", "time", "--split-at", "2016-01-01", "2017-01-01", rows=rows, header=True)
        == 2
    )
    assert f"read in s, half of the times are after the year 2287; they seem to be in {unit}" in capsys.readouterr().err
    assert prepare(tmp_path, *given, rows=rows, header=True) == 0 and f"give --time-unit {unit}" in caplog.text
    caplog.clear()
    assert prepare(tmp_path, *given, "--time-unit", unit, rows=rows, header=True) == 0 and not caplog.records
    assert inter(tmp_path)["timestamp:float"][0] == "1400000000"


@pytest.mark.parametrize(
    "options, message",
    [
        (["--split", "ratio", "--ratio", "1", "0", "0"], "--split=ratio leaves no test interactions"),
        (
            ["--split", "time", "--split-at", "9e9", "9e9", "--time-col", "t"],
            "--split=time leaves no test interactions",
        ),
        (["--image-col", "x"], "--image-col needs --items"),
        (["--text-cols", "x"], "--text-cols needs --items"),
        (["--user-col", "item_id"], "--user-col and --item-col are both the column 'item_id'"),
    ],
)
def test_options_that_leave_nothing_or_do_nothing(tmp_path, capsys, options, message):
    rows = [f"u{k % 5},i{k % 7},{k + 2e8:.0f}" for k in range(30)]
    (tmp_path / "t.csv").write_text("user_id,item_id,t\n" + "\n".join(rows) + "\n")
    given = [
        "table",
        "--name",
        "T",
        "--inter",
        str(tmp_path / "t.csv"),
        "--out",
        str(tmp_path),
        "--k-core",
        "0",
        "--no-images",
    ]
    assert main([*given, *options]) == 2
    assert message in capsys.readouterr().err
