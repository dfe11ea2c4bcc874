"""RecBole's data set of a run: order of time, ids, and what the files need."""

import pandas as pd
import pytest

from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.datasets import load_data
from recbole_sda.errors import InputError


@pytest.mark.parametrize("model", ["SASRec", "BPR", "Pop"])
def test_times_are_exact_to_the_second(tiny_keys, tmp_path, write_tiny, model):
    """RecBole stores times in float32, in which present-day times are multiples of 64 or 128 seconds."""
    path = write_tiny(tmp_path) / "tiny.inter"
    table = pd.read_csv(path, sep="\t")
    table["timestamp:float"] = 1_400_000_000 + 5 * table["timestamp:float"].astype(int)
    table.sample(frac=1, random_state=0).to_csv(path, sep="\t", index=False)
    data = load_data(RunConfig(model, "tiny", (), {**tiny_keys, "data_path": str(tmp_path)}))
    tokens = [data.dataset.field2id_token[field] for field in ("user_id", "item_id")]
    last = table.groupby("user_id:token")["item_id:token"].agg(list)
    for loader, place in ((data.test, -1), (data.valid, -2)):
        rows = loader.dataset.inter_feat
        assert len(rows) == len(last)
        for user, item in zip(rows["user_id"].numpy(), rows["item_id"].numpy()):
            assert last[tokens[0][user]][place] == tokens[1][item]


def test_quotation_marks_are_characters(build, tmp_path, write_tiny, tiny_keys):
    folder = write_tiny(tmp_path / "data")
    text = (folder / "tiny.inter").read_text().replace("\ti1\t", '\t"7 inch\t').replace("\ti2\t", '\t12"\t')
    (folder / "tiny.inter").write_text(text)
    config = RunConfig("BPR", "tiny", (), {**tiny_keys, "data_path": str(tmp_path / "data")})
    data = load_data(config)
    assert {'"7 inch', '12"'} <= set(data.dataset.field2id_token["item_id"])
    assert len(data.dataset.inter_feat) == text.count("\n") - 1


def test_general_models_in_random_order_need_no_times(tiny_keys, tmp_path, write_tiny):
    path = write_tiny(tmp_path) / "tiny.inter"
    path.write_text("".join(line.rpartition("\t")[0] + "\n" for line in path.read_text().splitlines()))
    keys = {**tiny_keys, "data_path": str(tmp_path), "eval_args": {"order": "RO", "split": {"RS": [8, 1, 1]}}}
    assert load_data(RunConfig("BPR", "tiny", (), keys)).test is not None


def test_filters_that_leave_nothing_are_named(build):
    with pytest.raises(InputError, match=r"the filters leave no rows of a file: user_inter_num_interval=\[99,inf\)$"):
        load_data(build.config("BPR", user_inter_num_interval="[99,inf)"))
