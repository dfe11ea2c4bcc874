"""Importers: npy with ids, parquet, RecBole's .itememb."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.features.importers import from_itememb, from_npy, from_parquet
from recbole_sda.io.hashes import sha256_of


def test_npy(tmp_path):
    image = np.arange(6, dtype=np.float64).reshape(3, 2)
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "mask.npy", np.array([1, 0, 1]))
    (tmp_path / "ids.txt").write_text("a\nb\nc\n")
    files = {"image": str(tmp_path / "image.npy")}
    vectors = from_npy(files, str(tmp_path / "ids.txt"), {"image": str(tmp_path / "mask.npy")})
    assert vectors.item_ids == ["a", "b", "c"] and vectors.present["image"].tolist() == [True, False, True]
    assert vectors.features["image"].dtype == np.float32
    np.testing.assert_array_equal(vectors.features["image"], image)
    assert vectors.source["image.npy"] == sha256_of(tmp_path / "image.npy")
    with pytest.raises(InputError, match="modality 'text', which has no vectors; given are image"):
        from_npy(files, str(tmp_path / "ids.txt"), {"text": str(tmp_path / "mask.npy")})


def test_npy_never_runs_pickled_code(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "ids.txt").write_text("a\n")
    with pytest.raises(InputError, match="is not a plain .npy array"):
        from_npy({"image": str(tmp_path / "evil.npy")}, str(tmp_path / "ids.txt"))
    np.save(tmp_path / "words.npy", np.array(["a"]))
    with pytest.raises(InputError, match="expected real numbers"):
        from_npy({"image": str(tmp_path / "words.npy")}, str(tmp_path / "ids.txt"))
    with pytest.raises(InputError, match="array .*none.npy does not exist"):
        from_npy({"image": str(tmp_path / "none.npy")}, str(tmp_path / "ids.txt"))


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float32(), 2)])
def test_parquet(tmp_path, kind):
    table = pa.table({"asin": [1, 2, 3], "vec": pa.array([[1, 2], None, [5, 6]], kind)})
    pq.write_table(table, tmp_path / "v.parquet")
    vectors = from_parquet(str(tmp_path / "v.parquet"), {"text": "vec"}, "asin")
    assert vectors.item_ids == ["1", "2", "3"] and vectors.present["text"].tolist() == [True, False, True]
    assert vectors.features["text"].tolist() == [[1, 2], [0, 0], [5, 6]]


def test_parquet_errors(tmp_path):
    pq.write_table(pa.table({"item_id": ["a", "b"], "v": [[1.0], [1.0, 2.0]], "w": [1.0, 2.0]}), tmp_path / "v.parquet")
    path = str(tmp_path / "v.parquet")
    with pytest.raises(InputError, match=r"column 'v': expected lists of one length, found \[1, 2\]"):
        from_parquet(path, {"text": "v"})
    with pytest.raises(InputError, match="found no lists"):
        from_parquet(path, {"text": "w"})
    with pytest.raises(InputError, match="has no column 'x'; it has item_id, v, w"):
        from_parquet(path, {"text": "x"})
    (tmp_path / "no.parquet").write_text("no")
    with pytest.raises(InputError, match="damaged, or no parquet file"):
        from_parquet(str(tmp_path / "no.parquet"), {"text": "v"})


def test_itememb(tmp_path):
    path = tmp_path / "d.itememb"
    path.write_text("vec:float_seq\tiid:token\n1 2 3\ta\n4 5 6\tb\n")
    vectors = from_itememb(str(path), "image")
    assert vectors.item_ids == ["a", "b"] and vectors.features["image"].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "expected the columns"),
        ("iid:token\n", "expected the columns"),
        ("iid:token\tvec:float_seq\n", "holds no vectors"),
        ("iid:token\tvec:float_seq\na\t1 2\nb\t1\n", "line 3: 1 values where the first item has 2"),
        ("iid:token\tvec:float_seq\na\t1 x\n", "line 2: could not convert"),
        ("iid:token\tvec:float_seq\na\n", "line 2: 1 columns where the header has 2"),
    ],
)
def test_itememb_errors(tmp_path, content, message):
    (tmp_path / "d.itememb").write_text(content)
    with pytest.raises(InputError, match=message):
        from_itememb(str(tmp_path / "d.itememb"))


@pytest.mark.parametrize("name", ["image.npz", "image.npy", "image.pt"])
def test_archives_are_no_arrays(tmp_path, name):
    if name == "image.pt":
        torch.save(torch.ones(2, 3), tmp_path / name)
    else:
        with open(tmp_path / name, "wb") as file:
            np.savez(file, x=np.ones((2, 3)))
    (tmp_path / "ids.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match=f"{name} is an archive.*expected one array"):
        from_npy({"image": tmp_path / name}, tmp_path / "ids.txt")


@pytest.mark.parametrize(
    "array, message",
    [
        (np.ones((2, 2), dtype=np.complex64), "expected real numbers, found complex64"),
        (np.float32(1), "holds a single value"),
        (np.ones((3, 2)), r"expected a matrix \(2 items, dim\), a row for each id; found \(3, 2\)"),
        (np.ones((2, 1, 2)), r"expected a matrix .*, found \(2, 1, 2\)"),
        (
            np.array([[1.0, 2.0], [np.inf, 1.0]]),
            "1 rows have values that are no finite float32 numbers, the first is row 2",
        ),
        (np.full((2, 2), 1e300), "2 rows have values that are no finite float32 numbers"),
        (np.ones(2), r"expected a matrix .*, found \(2,\)"),
        (np.array([["a", "b"]] * 2), "expected real numbers"),
        (None, "is not a plain .npy array"),
    ],
)
def test_what_is_no_matrix_of_numbers(tmp_path, array, message):
    (tmp_path / "x.npy").touch()
    if array is not None:
        np.save(tmp_path / "x.npy", array)
    (tmp_path / "ids.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match=f"x.npy.*{message}"):
        from_npy({"image": tmp_path / "x.npy"}, tmp_path / "ids.txt")


@pytest.mark.parametrize("mask", [np.array([0.5, 1]), np.array([np.nan, 1]), np.ones((2, 1)), np.array([2, 1])])
def test_what_is_no_mask(tmp_path, mask):
    np.save(tmp_path / "x.npy", np.ones((2, 3)))
    np.save(tmp_path / "m.npy", mask)
    (tmp_path / "ids.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match="m.npy: expected a mask"):
        from_npy({"image": tmp_path / "x.npy"}, tmp_path / "ids.txt", {"image": tmp_path / "m.npy"})


@pytest.mark.parametrize(
    "content, message",
    [
        ("item_id\na\n", "'item_id' is the name of a column"),
        ("asin:token\na\n", "is the name of a column"),
        ("a\t0\nb\t1\n", "line 1: expected one id per line"),
        ("a\n\nb\n", "line 2: an id is missing"),
    ],
)
def test_id_files_that_are_tables(tmp_path, content, message):
    np.save(tmp_path / "x.npy", np.ones((2, 3)))
    (tmp_path / "ids.txt").write_text(content)
    with pytest.raises(InputError, match=f"ids.txt.*{message}"):
        from_npy({"image": tmp_path / "x.npy"}, tmp_path / "ids.txt")


def test_id_files_of_other_systems(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((3, 3)))
    (tmp_path / "ids.txt").write_bytes("\ufeffa\r\nb \r\n007\r\n".encode())
    assert from_npy({"image": tmp_path / "x.npy"}, tmp_path / "ids.txt").item_ids == ["a", "b", "007"]


@pytest.mark.parametrize(
    "ids, found", [([1.0, 2.0], ["1", "2"]), ([b"a", b"b"], ["a", "b"]), (["a ", "b"], ["a", "b"])]
)
def test_ids_of_parquet(tmp_path, ids, found):
    pq.write_table(pa.table({"item_id": ids, "v": [[1.0], [2.0]]}), tmp_path / "v.parquet")
    assert from_parquet(tmp_path / "v.parquet", {"text": "v"}).item_ids == found


@pytest.mark.parametrize("ids", [["a", None], [1.0, float("nan")], [1.5, 2.0], [["a"], ["b"]], [True, False]])
def test_what_is_no_id_in_parquet(tmp_path, ids):
    pq.write_table(pa.table({"item_id": ids, "v": [[1.0], [2.0]]}), tmp_path / "v.parquet")
    with pytest.raises(InputError, match="v.parquet, column 'item_id', row [12]: "):
        from_parquet(tmp_path / "v.parquet", {"text": "v"})


@pytest.mark.parametrize("rows", [[["1", "2"], ["3", "4"]], [[[1.0]], [[2.0]]]])
def test_lists_that_are_not_of_numbers(tmp_path, rows):
    pq.write_table(pa.table({"item_id": ["a", "b"], "v": rows}), tmp_path / "v.parquet")
    with pytest.raises(InputError, match="column 'v': expected lists of numbers, found list"):
        from_parquet(tmp_path / "v.parquet", {"text": "v"})


def test_ids_that_occur_twice_are_named_with_their_file(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((2, 3)))
    (tmp_path / "ids.txt").write_text("a\na\n")
    with pytest.raises(InputError, match="ids.txt: item id 'a' occurs more than once"):
        from_npy({"image": tmp_path / "x.npy"}, tmp_path / "ids.txt")
    pd.DataFrame({"item_id": ["a", "a"], "v": [[1.0], [2.0]]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="x.parquet, column 'item_id': item id 'a' occurs more than once"):
        from_parquet(tmp_path / "x.parquet", {"text": "v"})
    pd.DataFrame({"item_id": ["a", "b"], "v": [[1.0], [1e300]]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="x.parquet, column 'v': 1 rows have values .* row 2"):
        from_parquet(tmp_path / "x.parquet", {"text": "v"})
    (tmp_path / "x.itememb").write_text("iid:token\tv:float_seq\na\t1 2\na\t1 3\n")
    with pytest.raises(InputError, match="x.itememb: item id 'a' occurs more than once"):
        from_itememb(tmp_path / "x.itememb")


def test_matrices_without_columns(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((2, 0), np.float32))
    (tmp_path / "ids.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match=r"x.npy: expected a matrix .* found \(2, 0\)"):
        from_npy({"image": tmp_path / "x.npy"}, tmp_path / "ids.txt")
    pq.write_table(pa.table({"item_id": ["a"], "v": pa.array([[]], pa.list_(pa.float32()))}), tmp_path / "v.parquet")
    with pytest.raises(InputError, match="v.parquet, column 'v': expected lists of one length"):
        from_parquet(tmp_path / "v.parquet", {"text": "v"})
