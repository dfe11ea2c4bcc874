"""Values of the keys that split the interactions."""

import datetime

import pytest

from recbole_sda.config.split_checks import check_split, time_point
from recbole_sda.errors import InputError


def test_dates_become_text(build):
    day = datetime.date(2014, 1, 1)
    assert check_split({"global_time": [day, "2014-07-01"]}) == {"global_time": ["2014-01-01", "2014-07-01"]}
    config = build.config("SASRec", cold_items=day)
    assert config["cold_items"] == config.resolved["cold_items"] == "2014-01-01"


def test_times_of_dates_are_utc():
    text, aware = "2014-05-01T02:00:00", "2014-05-01T04:00:00+02:00"
    assert (
        time_point("k", text)
        == time_point("k", aware)
        == time_point("k", datetime.datetime(2014, 5, 1, 2))
        == 1398909600
    )


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"eval_args": {"split": {"TS": [8, 1, 1]}}}, "eval_args: split=.*global_time: ...}"),
        ({"eval_args": {"split": {"global_time": [0, 1, 1]}}}, "eval_args: split="),
        ({"eval_args": {"split": {"global_time": [True, 2, 3]}}}, "eval_args: split="),
        ({"eval_args": {"split": {"global_time": [3, 2]}}}, "global_time=.*validation begins after the test"),
        ({"eval_args": {"split": {"global_time": ["soon", 2]}}}, "global_time='soon': expected a time, as 2014-05-01"),
        ({"eval_args": {"split": {"given": None}}}, "eval_args: split="),
        ({"cold_items": 0.0}, "cold_items=0.0: expected a share of the items above 0 and below 1, or the time"),
        ({"cold_items": 1.0}, "cold_items=1.0: expected a share"),
        ({"cold_items": True}, "cold_items=True: expected a share"),
        ({"cold_items": "20%"}, "cold_items='20%': expected a time"),
        ({"cold_items": 0.2, "benchmark_filename": ["train", "valid", "test"]}, "cold_items=0.2: the parts are given"),
        ({"cold_items_seed": -1}, "cold_items_seed=-1: expected"),
    ],
)
def test_wrong_values(build, keys, message):
    with pytest.raises(InputError, match=message):
        build.config("BPR", **keys)


def test_models_of_another_kind(build):
    with pytest.raises(
        InputError, match="cold_items=0.2: for general and sequential models; this one is a context model"
    ):
        build.config("FM", cold_items=0.2)


def test_a_column_of_parts_is_the_split_unless_another_is_given(write_tiny, tmp_path, tiny_keys):
    from recbole_sda.config.run_config import RunConfig

    path = write_tiny(tmp_path) / "tiny.inter"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0] + "\tpart:token", *(line + "\ttrain" for line in lines[1:])]) + "\n")
    keys = {**tiny_keys, "data_path": str(tmp_path)}
    config = RunConfig("BPR", "tiny", (), keys)
    assert config["eval_args"]["split"] == {"given": "part"} and "part" in config["load_col"]["inter"]
    config = RunConfig("BPR", "tiny", (), {**keys, "eval_args": {"split": {"LS": "test_only"}}})
    assert config["eval_args"]["split"] == {"LS": "test_only"} and "part" not in config["load_col"]["inter"]
