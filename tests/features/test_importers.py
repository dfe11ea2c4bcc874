"""Importers: npy with ids, parquet, RecBole's .itememb."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
    with pytest.raises(InputError, match="expected numbers"):
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
    with pytest.raises(InputError, match="is not a parquet file"):
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
