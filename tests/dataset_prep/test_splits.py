"""Written splits: which part each interaction belongs to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_prep import splits
from dataset_prep.interactions import collect
from recbole_sda.errors import InputError

sizes = st.lists(st.integers(1, 15), min_size=1, max_size=6)


def interactions(lengths, seed=0):
    rows = [(f"u{u}", f"i{k}", None, 10 * k + u) for u, n in enumerate(lengths) for k in range(n)]
    return collect(rows[k] for k in np.random.default_rng(seed).permutation(len(rows)))


def per_user(data, part):
    """Parts of each user's interactions in time order."""
    parts = {}
    for u in np.unique(data.user):
        positions = np.flatnonzero(data.user == u)
        parts[data.users[u]] = part[positions[np.argsort(data.time[positions])]].tolist()
    return parts


@given(sizes, st.integers(0, 9))
def test_leave_one_out(lengths, seed):
    data = interactions(lengths, seed)
    for user, parts in per_user(data, splits.leave_one_out(data)).items():
        n = lengths[int(user[1:])]
        assert parts == ([0] * (n - 2) + [1, 2] if n >= 3 else [0] * n)


@given(sizes, st.integers(0, 9), st.sampled_from([(8, 1, 1), (6, 2, 2), (1, 0, 1)]))
def test_ratio_keeps_time_order_and_shares(lengths, seed, shares):
    data = interactions(lengths, seed)
    for user, parts in per_user(data, splits.ratio(data, shares)).items():
        n = lengths[int(user[1:])]
        assert parts == sorted(parts)  # no later interaction in training
        for k in (1, 2):
            floor = int(n * shares[k] / sum(shares))
            assert parts.count(k) == (max(floor, 1) if n >= 3 and shares[k] else 0)


@given(sizes)
def test_by_time_is_global(lengths):
    data = interactions(lengths)
    part = splits.by_time(data, 40, 80)
    assert (part == (data.time >= 40).astype(int) + (data.time >= 80)).all()
    assert sum(splits.counts(part).values()) == len(data)


def test_errors():
    data = interactions([3])
    with pytest.raises(InputError, match="expected three shares"):
        splits.ratio(data, (8, 1))
    with pytest.raises(InputError, match="--split-at 9 3: validation begins after the test"):
        splits.by_time(data, 9, 3)
