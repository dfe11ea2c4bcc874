"""Interaction files: the first line that RecBole needs, and hashes of what a run reads."""

import shutil

import pytest

from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.datasets import load_data
from recbole_sda.data.interaction_files import input_hashes
from recbole_sda.errors import InputError


@pytest.mark.parametrize(
    "model, header, message",
    [
        ("BPR", "", "expected a first line of name:type"),
        ("BPR", "user_id\titem_id\ttimestamp", "expected a first line of name:type, .*found 'user_id"),
        ("BPR", "user_id:token\titem_id:string\ttimestamp:float", "with the types float, float_seq, token, token_seq"),
        ("BPR", "user_id:token,item_id:token,timestamp:float", "expected a first line of name:type"),
        (
            "BPR",
            "userid:token\titem_id:token\ttimestamp:float",
            "no column 'user_id', which the run reads; its columns are userid, item_id",
        ),
        ("SASRec", "user_id:token\titem_id:token\ttime:float", "no column 'timestamp'"),
    ],
)
def test_interaction_files_that_recbole_cannot_read(tiny_keys, tmp_path, write_tiny, model, header, message):
    path = write_tiny(tmp_path) / "tiny.inter"
    path.write_text("\n".join([header, *path.read_text().split("\n")[1:]]))
    with pytest.raises(InputError, match=f"tiny.inter: .*{message}"):
        load_data(RunConfig(model, "tiny", (), {**tiny_keys, "data_path": str(tmp_path)}))


def test_hashes_are_of_the_files_that_are_read_wherever_they_are(tiny_keys, tmp_path, write_tiny):
    folder = write_tiny(tmp_path / "data")
    (folder / "tiny.item").write_text("item_id:token\tbrand:token\ni1\te1\n")

    def hashes(place="data", **more):
        return input_hashes(RunConfig("BPR", "tiny", (), {**tiny_keys, "data_path": str(tmp_path / place), **more}))

    columns = {"inter": ["user_id", "item_id"], "item": ["item_id", "brand"]}
    assert set(hashes()) == {"interactions"}
    both = hashes(load_col=columns)
    assert set(both) == {"interactions", "attributes"} and both["interactions"] == hashes()["interactions"]
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    assert hashes("copy", load_col=columns) == both
    (tmp_path / "copy/tiny/tiny.item").write_text("item_id:token\tbrand:token\ni2\te1\n")
    assert hashes("copy", load_col=columns)["attributes"] != both["attributes"] and hashes("copy") == hashes()
