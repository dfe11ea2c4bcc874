"""Malformed interaction and item files of a run: refused in one line with the file, before RecBole reads them."""

import pytest

from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.interaction_files import check_files

HEADER = "user_id:token\titem_id:token\ttimestamp:float"
ROWS = [f"u{k % 7}\ti{k % 11}\t{k}" for k in range(60)]


def files(rows=ROWS, header=HEADER) -> bytes:
    return "\n".join([header, *rows]).encode("utf-8", "surrogatepass") + b"\n"


def with_row(row: str) -> bytes:
    return files([*ROWS[:30], row, *ROWS[30:]])


REFUSED = {
    "header-only": files([]),
    "empty": b"",
    "newlines": b"\n\n\n",
    "byte-order-mark": b"\xef\xbb\xbf",
    "pad-user": with_row("[PAD]\ti1\t5"),
    "pad-item": with_row("u1\t[PAD]\t5"),
    "item-float": files(header="user_id:token\titem_id:float\ttimestamp:float"),
    "item-numbers": files([row.replace("i", "") for row in ROWS], "user_id:token\titem_id:float\ttimestamp:float"),
    "user-float": files([row.replace("u", "") for row in ROWS], "user_id:float\titem_id:token\ttimestamp:float"),
    "user-sequence": files(header="user_id:token_seq\titem_id:token\ttimestamp:float"),
    "item-sequence": files(header="user_id:token\titem_id:token_seq\ttimestamp:float"),
    "time-sequence": files(header="user_id:token\titem_id:token\ttimestamp:float_seq"),
    "time-token": files(header="user_id:token\titem_id:token\ttimestamp:token"),
    "unknown-type": files(header="user_id:token\titem_id:token\ttimestamp:double"),
    "upper-case-type": files(header="user_id:TOKEN\titem_id:token\ttimestamp:float"),
    "no-types": files(header="user_id\titem_id\ttimestamp"),
    "commas": files(header=HEADER.replace("\t", ",")),
    "column-twice": files(header="user_id:token\tuser_id:token\ttimestamp:float"),
    "utf16": files().decode().encode("utf-16"),
    "latin1": with_row("u1\tcaf\xe9\t5").decode().encode("latin-1"),
    "surrogate": with_row("u1\t\ud800\t5"),
    **{
        f"time-{text}": with_row(f"u1\ti1\t{text}")
        for text in ("", "nan", "inf", "-inf", "1e39", "1e400", "9" * 400, "0x10", "1_000", "1j", "True", "2014-05-01")
    },
}
TAKEN = {
    "sound": files(),
    "quotation-marks": with_row("u1\ta\"',b\t5"),
    "slashes": with_row("u1\t../../x\t5"),
    "right-to-left": with_row("u1\t\u202eabc\t5"),
    "separator-of-lines": with_row("u1\ta\u2028b\t5"),
    "long-id": with_row(f"u1\t{'x' * 200_000}\t5"),
    "ends-of-lines": files().replace(b"\n", b"\r\n"),
}


@pytest.fixture
def config(tmp_path, write_tiny, tiny_keys):
    """Of a run on a data set that each test writes anew."""
    write_tiny(tmp_path)
    return RunConfig("SASRec", "tiny", (), {**tiny_keys, "data_path": str(tmp_path)})


def test_interactions(tmp_path, config, outcomes):
    path = tmp_path / "tiny" / "tiny.inter"
    for name, content in {**REFUSED, **TAKEN}.items():
        path.write_bytes(content)
        before = outcomes.taken
        outcomes.try_file(name, path, check_files, config)
        assert (outcomes.taken > before) == (name in TAKEN), name
    outcomes.check(len(REFUSED) + len(TAKEN), len(TAKEN))


@pytest.mark.parametrize(
    "suffix, lines",
    [
        ("item", ["item_id:token\tprice:float", "i1\t1", "i2\t2", "i1\t3"]),
        ("user", ["user_id:token\tage:float", "u1\t1", "u1\t1"]),
        ("item", ["item_id:token\tprice:float"]),
        ("item", ["item_id:token\ttags:token_seq", "i1\ta [PAD] b"]),
        ("item", ["item_id:token\tv:float_seq", "i1\t1 1e39"]),
        ("item", ["item_id:float\tprice:float", "1\t1"]),
        ("item", ["title:token\tprice:float", "x\t1"]),
    ],
)
def test_items_and_users(tmp_path, write_tiny, tiny_keys, outcomes, suffix, lines):
    path = write_tiny(tmp_path) / f"tiny.{suffix}"
    path.write_text("\n".join(lines) + "\n")
    columns = [column.partition(":")[0] for column in lines[0].split("\t")]
    wanted = {
        "inter": ["user_id", "item_id", "timestamp"],
        suffix: ["item_id" if suffix == "item" else "user_id", *columns[1:]],
    }
    config = RunConfig("BPR", "tiny", (), {**tiny_keys, "data_path": str(tmp_path), "load_col": wanted})
    outcomes.try_file(suffix, path, check_files, config)
    outcomes.check(1, 0)
