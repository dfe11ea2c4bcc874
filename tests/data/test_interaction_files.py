"""Interaction files: the first line that RecBole needs."""

import pytest

from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.datasets import load_data
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
