"""How many training interactions are later than the tests of leave-one-out, against a count over the file."""

import logging

import numpy as np
import pandas as pd
import pytest

from recbole_sda.config.run_config import RunConfig
from recbole_sda.data.datasets import load_data


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
@pytest.mark.parametrize("split", ["valid_and_test", "test_only"])
def test_shares_equal_a_count(tiny_keys, tmp_path, write_tiny, caplog, model, split):
    caplog.set_level(logging.INFO)
    path = write_tiny(tmp_path) / "tiny.inter"
    table = pd.read_csv(path, sep="\t")
    table["timestamp:float"] = 2**30 + 256 * np.random.default_rng(0).integers(0, 40, len(table))  # many ties
    table.to_csv(path, sep="\t", index=False)
    keys = {**tiny_keys, "data_path": str(tmp_path), "eval_args": {"split": {"LS": split}}}
    keys |= {"eval_step": 0} if split == "test_only" else {}
    data = load_data(RunConfig(model, "tiny", (), keys))
    held_out = {"valid_and_test": 2, "test_only": 1}[split]
    times = table.sort_values("timestamp:float", kind="stable").groupby("user_id:token")["timestamp:float"].agg(list)
    tests = sorted(of[-1] for of in times)
    training = np.concatenate([of[:-held_out] for of in times])
    assert data.split == {
        "training_later_than_first_test": pytest.approx((training > tests[0]).mean(), abs=1e-4),
        "training_later_than_median_test": pytest.approx((training > tests[len(tests) // 2]).mean(), abs=1e-4),
    }
    later = 100 * (training > tests[len(tests) // 2]).mean()
    assert f"leave-one-out: {later:.1f} % of the training interactions are later than the median test" in caplog.text


def test_no_shares_without_an_order_in_time_or_dates(build):
    assert build("BPR").data.split == {}  # times are positions
    assert build("BPR", eval_args={"order": "RO"}).data.split == {}
    assert build("BPR", eval_args={"split": {"RS": [8, 1, 1]}}).data.split == {}
