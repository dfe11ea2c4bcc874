"""Rows that RecBole would fill in, shift or take for something else are named by file and line."""

import pytest

from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.datasets import load_data
from recbole_sda.engine.experiment import run
from recbole_sda.errors import InputError


@pytest.fixture
def path(tmp_path, write_tiny):
    return write_tiny(tmp_path) / "tiny.inter"


@pytest.fixture
def load(tiny_keys, path):
    """A function: model and keys -> the data of a run on the file at ``path``."""
    return lambda model="BPR", **keys: load_data(
        RunConfig(model, "tiny", (), {**tiny_keys, "data_path": str(path.parent.parent), **keys})
    )


def change_line(path, number, line):
    lines = path.read_text().split("\n")
    lines[number - 1] = line
    path.write_text("\n".join(lines))


@pytest.mark.parametrize("model", ["BPR", "SASRec", "Pop"])
@pytest.mark.parametrize(
    "line, message",
    [
        ("u1\ti3\t", "line 7: timestamp is missing, and RecBole would fill in the mean of the file"),
        ("u1\ti3\tnan", "line 7: timestamp is missing"),
        ("u1\ti3\tNULL", "line 7: timestamp is missing"),
        ("u1\ti3\tinf", "line 7: timestamp: expected a finite number, found 'inf'"),
        ("u1\ti3\t2014-05-01", "line 7: timestamp: expected a finite number, found '2014-05-01'"),
        ("u1\ti3", "line 7: 2 values, but the first line names 3 columns"),
        ("u1\ti3\t5\t6", "line 7: 4 values, but the first line names 3 columns"),
        ("u1\ti3\t5\t", "line 7: 4 values, but the first line names 3 columns"),
        ("\ti3\t5", "line 7: user_id is empty"),
        ("u1\t\t5", "line 7: item_id is empty"),
        ("\t\t", "line 7: user_id is empty"),
        ("\t", "line 7: 2 values, but the first line names 3 columns"),
        ("  ", "line 7: 1 values, but the first line names 3 columns"),
        ("user_id:token\titem_id:token\ttimestamp:float", "line 7: repeats the first line"),
    ],
)
def test_rows_that_are_refused(path, load, model, line, message):
    change_line(path, 7, line)
    with pytest.raises(InputError, match=f"tiny.inter, {message}"):
        load(model)


def test_all_wrong_rows_are_counted(path, load):
    for number in (3, 5, 9):
        change_line(path, number, "u1\ti3\t")
    with pytest.raises(InputError, match=r"line 3: timestamp is missing.* \(and 2 more rows\)"):
        load()


def test_blank_lines_and_other_ends_of_lines_change_nothing(path, load):
    text = path.read_text()
    expected = load("SASRec").inputs, len(load("SASRec").test.dataset)
    for other in (text.replace("\n", "\r\n"), text.replace("\nu1\t", "\n\nu1\t", 2) + "\n\n", "\ufeff" + text):
        path.write_bytes(other.encode())
        data = load("SASRec")
        assert len(data.test.dataset) == expected[1]
        assert "u0" in data.dataset.field2id_token["user_id"]
    with pytest.raises(InputError, match="starts with a byte order mark; leave out encoding"):
        load("SASRec", encoding="utf-8")


def test_files_in_utf_16_are_named_and_can_be_read(path, load):
    n_users, text = load("BPR").dataset.user_num, path.read_text()
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        path.write_bytes(text.encode(encoding))
        with pytest.raises(
            InputError, match="holds NUL characters, as files in UTF-16 do; save it in UTF-8, or give enc"
        ):
            load("BPR")
        assert load("BPR", encoding=encoding).dataset.user_num == n_users


def test_a_mark_at_the_start_does_not_change_a_result(path, tiny_keys, tmp_path):
    keys = {**tiny_keys, "data_path": str(tmp_path), "runs_path": str(tmp_path / "runs"), "epochs": 1}
    plain = run("SASRec", "tiny", (), keys)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert run("SASRec", "tiny", (), keys)["test"] == plain["test"]


def test_another_encoding_is_named(path, load):
    path.write_bytes(path.read_text().encode("utf-16"))
    with pytest.raises(InputError, match="tiny.inter"):
        load()


def test_milliseconds_among_seconds(path, load):
    lines = path.read_text().split("\n")
    rows = [f"{row.rpartition(chr(9))[0]}\t{1_400_000_000 + 86400 * k}" for k, row in enumerate(lines[1:-1])]
    path.write_text("\n".join([lines[0], *rows, ""]))
    load()
    path.write_text("\n".join([lines[0], *(row + "000" for row in rows), ""]))
    load()
    path.write_text("\n".join([lines[0], rows[0], *(row + "000" for row in rows[1:]), ""]))
    with pytest.raises(
        InputError, match=f"{len(rows) - 1} values of timestamp look like milliseconds and 1 like seconds"
    ):
        load()


@pytest.fixture
def rated(path):
    """The file with ratings, and a file of item attributes."""
    lines = path.read_text().split("\n")[:-1]
    rows = [row + f"\t{1 + k % 5}" for k, row in enumerate(lines[1:])]
    path.write_text("\n".join([lines[0] + "\trating:float", *rows, ""]))
    items = path.with_suffix(".item")
    items.write_text(
        "item_id:token\tprice:float\tbrand:token\tsizes:float_seq\n"
        + "".join(f"i{k}\t{k}\tb{k % 3}\t{k} 2\n" for k in range(37))
    )
    return path


COLUMNS = {"inter": ["user_id", "item_id", "timestamp", "rating"], "item": ["item_id", "price", "brand", "sizes"]}


def test_missing_numbers_that_recbole_may_fill_in_are_counted(rated, load, caplog):
    change_line(rated, 4, "u1\ti3\t4\t")
    items = rated.with_suffix(".item")
    items.write_text(items.read_text().replace("i7\t7\tb1", "i7\t\t"))
    load(load_col=COLUMNS)
    assert "tiny.inter: rating is missing in 1 rows, first in line 4; RecBole fills in the mean" in caplog.text
    assert "tiny.item: price is missing in 1 rows, first in line 9" in caplog.text
    with pytest.raises(InputError, match="line 4: rating is missing"):
        load("LR", load_col=COLUMNS, threshold={"rating": 3}, train_neg_sample_args=None)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("i7\t7\t", "i7\tx\t", "line 9: price: expected a finite number, found 'x'"),
        ("i7\t7\t", "\t7\t", "line 9: item_id is empty"),
        ("\t7 2\n", "\t7 x 2\n", "line 9: sizes: expected a finite number, found 'x'"),
    ],
)
def test_item_files(rated, load, old, new, message):
    items = rated.with_suffix(".item")
    items.write_text(items.read_text().replace(old, new))
    with pytest.raises(InputError, match=f"tiny.item, {message}"):
        load(load_col=COLUMNS)
    load()  # which does not read the file


def test_columns_that_are_not_there(rated, load):
    with pytest.raises(
        InputError, match="load_col: inter: no column 'ratings'; .*tiny.inter has user_id, .*Did you mean 'rating'"
    ):
        load(load_col={"inter": ["user_id", "item_id", "timestamp", "ratings"]})
    with pytest.raises(InputError, match="the run reads the column 'timestamp' too; add it"):
        load("SASRec", load_col={"inter": ["user_id", "item_id"]})
