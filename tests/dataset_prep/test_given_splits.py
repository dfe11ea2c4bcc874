"""Splits of other toolkits: the forms in which their users keep them, to a run that honours the parts."""

import json

import numpy as np
import pandas as pd
import pytest

from dataset_prep.__main__ import main
from dataset_prep.given_splits import overlap_counts, read_given_split
from dataset_prep.interactions import collect
from dataset_prep.problems import Problems
from recbole_sda.engine.experiment import run
from recbole_sda.errors import InputError

PARTS = ("train", "valid", "test")


def parts_of(seed=0):
    """Three tables of user, item, rating and time; items 10 and 11 are in test alone."""
    rng = np.random.default_rng(seed)
    rows = [
        (u, int(i), float(rng.integers(1, 6)), 1_400_000_000 + 100 * t)
        for u in range(12)
        for t, i in enumerate(rng.permutation(10)[:7])
    ]
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "timestamp"])
    part = np.where(table.groupby("user_id").cumcount() < 5, 0, table.groupby("user_id").cumcount() - 4)
    table.loc[(part == 2) & (table["user_id"] < 4), "item_id"] = [10, 11, 10, 11]
    return [table[part == k] for k in range(3)]


def rectools(folder, tables):
    names = {"rating": "weight", "timestamp": "datetime"}
    for name, table in zip(PARTS, tables):
        stamped = table.assign(timestamp=pd.to_datetime(table["timestamp"], unit="s")).rename(columns=names)
        stamped.to_parquet(folder / f"{name}.parquet")
    return ".parquet", []


def rectools_csv(folder, tables):
    for name, table in zip(PARTS, tables):
        stamped = table.assign(timestamp=pd.to_datetime(table["timestamp"], unit="s"))
        stamped.rename(columns={"rating": "weight", "timestamp": "datetime"}).to_csv(
            folder / f"{name}.csv", index=False
        )
    return ".csv", []


def warprec(folder, tables):
    for name, table in zip(PARTS, tables):
        table.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    return ".tsv", []


def cornac(folder, tables):
    for name, table in zip(PARTS, tables):
        table.to_csv(folder / f"{name}.csv", index=False, header=False)
    return ".csv", ["--columns", "user_id", "item_id", "rating", "timestamp"]


def command(folder, suffix, *more):
    files = [f"--{name}={folder / (name + suffix)}" for name in PARTS]
    return main(["splits", "--name", "S", *files, "--out", str(folder / "out"), *more])


@pytest.mark.parametrize("toolkit", [rectools, rectools_csv, warprec, cornac])
def test_forms_of_other_toolkits(tmp_path, capsys, toolkit):
    tables = parts_of()
    suffix, more = toolkit(tmp_path, tables)
    assert command(tmp_path, suffix, *more) == 0
    written = pd.read_csv(tmp_path / "out/S/S.inter", sep="\t")
    assert list(written) == ["user_id:token", "item_id:token", "rating:float", "timestamp:float", "part:token"]
    for name, table in zip(PARTS, tables):
        rows = written[written["part:token"] == name].drop(columns="part:token")
        assert sorted(map(tuple, rows.to_numpy().tolist())) == sorted(map(tuple, table.to_numpy(dtype=float).tolist()))
    assert written.groupby("user_id:token")["timestamp:float"].is_monotonic_increasing.all()
    printed = capsys.readouterr().out
    assert "train 60, valid 12, test 12" in printed and "2 items without a training interaction" in printed
    record = json.loads((tmp_path / "out/S/dataset.json").read_text())
    assert record["split"] == {"given": "part", "train": 60, "valid": 12, "test": 12}
    assert record["files"]["valid"]["file"] == f"valid{suffix}"


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_a_run_takes_the_parts(tmp_path, tiny_keys, model):
    suffix, _ = warprec(tmp_path, parts_of())
    assert command(tmp_path, suffix) == 0
    keys = {**tiny_keys, "data_path": str(tmp_path / "out"), "runs_path": str(tmp_path / "runs"), "topk": [5]}
    result = run(model, "S", overrides={**keys, "valid_metric": "NDCG@5"})
    assert result["protocol"]["split"] == "given parts (column part)"
    assert result["split"]["interactions"] == {"train": 60, "valid": 12, "test": 12}
    assert result["split"]["items_without_training"] == 2
    groups = result["groups"]["test"]["items"]
    assert (groups["cold"]["cases"], groups["warm"]["cases"]) == (4, 8)


def test_without_times_the_order_of_the_rows_counts(tmp_path, capsys):
    for name, table in zip(PARTS, parts_of()):
        table[["user_id", "item_id"]].to_csv(tmp_path / f"{name}.csv", index=False, header=False)
    assert command(tmp_path, ".csv", "--columns", "user_id", "item_id") == 0
    assert "no column of times: the order of the rows, training first" in capsys.readouterr().out
    written = pd.read_csv(tmp_path / "out/S/S.inter", sep="\t")
    last = written.groupby("user_id:token")["part:token"].agg(list)
    assert all(parts == ["train"] * 5 + ["valid", "test"] for parts in last)
    assert "rating:float" not in written


def test_no_validation_part(tmp_path):
    warprec(tmp_path, parts_of())
    files = [f"--{name}={tmp_path / name}.tsv" for name in ("train", "test")]
    assert main(["splits", "--name", "S", *files, "--out", str(tmp_path / "out")]) == 0
    assert set(pd.read_csv(tmp_path / "out/S/S.inter", sep="\t")["part:token"]) == {"train", "test"}


@pytest.mark.parametrize(
    "name, text, more, message",
    [
        (
            "valid",
            "user_id\titem_id\n1\t2\n",
            [],
            "valid.tsv: has user, item, but the file before it has user, item, rating, time",
        ),
        ("test", "user_id\titem_id\trating\ttimestamp\n1\t2\t3\n", [], "test.tsv holds no rows"),
        (
            "test",
            "user_id\titem_id\trating\ttimestamp\n1\t2\t3\t4\n1\t2\t3\n",
            [],
            "a split is read completely or not at all",
        ),
        ("train", "who\twhat\n1\t2\n", [], "no column 'user_id' (--user-col); there are who, what"),
        (
            "train",
            "1\t2\n",
            ["--columns", "user_id", "what"],
            "no column 'item_id' (--item-col); there are user_id, what",
        ),
        ("train", "1\t2\n", ["--columns", "user_id"], "--columns names 1 columns, its first line has 2"),
        ("train", "", [], "is empty"),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, name, text, more, message):
    warprec(tmp_path, parts_of())
    (tmp_path / f"{name}.tsv").write_text(text)
    assert command(tmp_path, ".tsv", *more) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and message in error[0]
    assert not (tmp_path / "out/S/S.inter").exists()


def test_unusual_interactions_are_counted():
    rows = [
        ("a", "x", None, 1),
        ("b", "y", None, 1),
        ("a", "x", None, 1),
        ("a", "x", None, 2),
        ("c", "z", None, 1),
        ("c", "z", None, 1),
    ]
    found = overlap_counts(collect(rows), np.array([0, 0, 2, 1, 1, 2]))
    assert list(found.values()) == [1, 1, 2]
    assert overlap_counts(collect(rows[:2]), np.array([0, 0])) == {}


def test_columns_by_name(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("u,i,when\n1,2,3000\n")
    columns = {"user": "u", "item": "i", "time": "when", "rating": None}
    data, part, used = read_given_split({"train": path, "valid": None, "test": path}, columns, Problems(), "ms")
    assert data.time.tolist() == [3.0, 3.0] and part.tolist() == [0, 2] and set(used) == {"user", "item", "time"}
    with pytest.raises(InputError, match="no column 'uu' .*Did you mean 'u'"):
        read_given_split({"train": path}, {**columns, "user": "uu"}, Problems())
