"""Boundaries of the split by one date for all users, against a loop."""

import numpy as np
import pytest

from recbole_sda.data.global_time import boundaries, part_by_time
from recbole_sda.errors import InputError


@pytest.mark.parametrize("shares", [[0.8, 0.1, 0.1], [6, 2, 2], [1, 1, 0]])
@pytest.mark.parametrize("n_times", [7, 400])
def test_parts_by_shares(shares, n_times):
    """No interaction is in an earlier part than an earlier one, ties are together, and shares are kept up to ties."""
    time = np.random.default_rng(0).integers(0, n_times, 200).astype(float)
    part = part_by_time(time, *boundaries(time, shares))
    for first in range(200):
        for second in range(200):
            assert time[first] > time[second] or part[first] <= part[second]
    largest_tie = np.bincount(time.astype(int)).max()
    for k in (0, 1):
        expected = 200 * sum(shares[: k + 1]) / sum(shares)
        assert expected - largest_tie <= (part <= k).sum() <= expected + 1e-9


def test_given_times():
    time = np.array([1.0, 2.0, 3.0, 4.0])
    assert part_by_time(time, *boundaries(time, [2, 4])).tolist() == [0, 1, 1, 2]
    day = np.array([1_388_500_000.0, 1_388_534_400.0, 1_390_000_000.0])
    assert part_by_time(day, *boundaries(day, ["2014-01-01", "2014-01-10"])).tolist() == [0, 1, 2]


@pytest.mark.parametrize("bounds", [[0, 2], [2, 9], ["2014-01-01", "2015-01-01"]])
def test_times_outside_the_data(bounds):
    with pytest.raises(InputError, match="the data's times go from 1 to 4, and both times must be among them"):
        boundaries(np.array([1.0, 4.0]), bounds)
