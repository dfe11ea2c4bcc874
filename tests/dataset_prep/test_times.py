"""Times: numbers, dates, and units that do not fit."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from dataset_prep.times import UNITS, check_unit, seconds
from recbole_sda.errors import InputError


@pytest.mark.parametrize(
    "value, per_second, expected",
    [
        ("1400000000", 1, 1_400_000_000),
        (1_400_000_000_500, 1000, 1_400_000_000.5),
        ("2014-05-01", 1, 1_398_902_400),
        ("2014-05-01T10:00:00", 1000, 1_398_938_400),
        (datetime(2014, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))), 1, 1_398_938_400),
    ],
)
def test_times(value, per_second, expected):
    assert seconds(value, per_second) == expected


@pytest.mark.parametrize("value", ["noon", "inf", None])
def test_other_values_are_not_times(value):
    with pytest.raises(ValueError):
        seconds(value)


@pytest.mark.parametrize("given", UNITS)
@pytest.mark.parametrize("real", UNITS)
def test_a_unit_that_does_not_fit_is_named(given, real, caplog):
    times = np.array([1.3e9, 1.4e9, 1.5e9]) * UNITS[real] / UNITS[given]
    check_unit(times, given, "f.csv", compared=False)
    expected = 0 if given == real or (given == "s" and real == "s") else 1
    assert len(caplog.records) == expected and all(f"give --time-unit {real}" in r.getMessage() for r in caplog.records)
    if expected:
        with pytest.raises(
            InputError, match=f"f.csv: read in {given}, half of the times are (after|before).*--time-unit {real}"
        ):
            check_unit(times, given, "f.csv", compared=True)


@pytest.mark.parametrize("times", [[1.0, 2.0, 3.0], [-1.0], [], [0.0, 4e9], [1e7]])
def test_small_numbers_may_count_anything(times, caplog):
    check_unit(np.array(times), "s", "f.csv", compared=True)
    assert not caplog.records
