"""Filters of interactions, against slow versions on random data."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_prep import filters
from dataset_prep.interactions import collect
from recbole_sda.errors import InputError

pairs = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 5)), max_size=60)


def interactions(rows):
    return collect((f"u{u}", f"i{i}", 3.0, t) for u, i, t in rows)


def rows_of(data):
    return [(data.users[u], data.items[i], int(t)) for u, i, t in zip(data.user, data.item, data.time)]


def naive_core(rows, users, items):
    """Remove one user or item below its limit after the other, until there are none."""
    rows = list(rows)
    while True:
        of_user, of_item = Counter(r[0] for r in rows), Counter(r[1] for r in rows)
        bad = [r for r in rows if of_user[r[0]] < users or of_item[r[1]] < items]
        if not bad:
            return rows
        removed = bad[0]
        rows = [r for r in rows if not (r[0] == removed[0] if of_user[removed[0]] < users else r[1] == removed[1])]


@given(pairs, st.integers(1, 4), st.integers(1, 4))
def test_k_core_is_the_largest_part(rows, users, items):
    data = interactions(rows)
    assert rows_of(filters.k_core(data, users, items)) == naive_core(rows_of(data), users, items)


@given(pairs, st.integers(1, 4))
def test_one_pass_counts_once(rows, k):
    data = interactions(rows)
    of_user, of_item = Counter(r[0] for r in rows_of(data)), Counter(r[1] for r in rows_of(data))
    expected = [r for r in rows_of(data) if of_user[r[0]] >= k and of_item[r[1]] >= k]
    assert rows_of(filters.one_pass(data, k, k)) == expected


@given(pairs, st.sampled_from(["first", "last"]))
def test_deduplicate(rows, keep):
    data = interactions(rows)
    chosen = {}
    for number, row in enumerate(rows_of(data)):
        old = chosen.get(row[:2])
        later = old is not None and (row[2] < old[1][2] if keep == "first" else row[2] >= old[1][2])
        if old is None or later:
            chosen[row[:2]] = (number, row)
    assert rows_of(filters.deduplicate(data, keep)) == [row for _, row in sorted(chosen.values())]


@given(pairs, st.integers(1, 4))
def test_most_recent(rows, n):
    data = interactions(rows)
    every = rows_of(data)
    expected = set()
    for user in {r[0] for r in every}:
        in_time = sorted((r[2], k) for k, r in enumerate(every) if r[0] == user)
        expected |= {k for _, k in in_time[-n:]}
    assert rows_of(filters.most_recent(data, n)) == [every[k] for k in sorted(expected)]


def test_ratings_and_times():
    data = collect([("u", "a", 3.0, 10), ("u", "b", None, 20), ("u", "c", 5.0, 30)])
    assert rows_of(filters.at_least_rated(data, 3)) == [("u", "a", 10), ("u", "c", 30)]
    assert rows_of(filters.between(data, 10, 30)) == [("u", "a", 10), ("u", "b", 20)]
    assert len(filters.between(data, None, None)) == 3


def test_all_repetitions_and_a_wrong_choice():
    data = interactions([(0, 0, 1), (0, 0, 1)])
    assert len(filters.deduplicate(data, "all")) == 2
    with pytest.raises(InputError, match="repetitions='some'"):
        filters.deduplicate(data, "some")


def test_order_of_files_does_not_depend_on_the_order_of_input():
    rows = [(u, i, u + i) for u in range(5) for i in range(5)]
    shuffled = [rows[k] for k in np.random.default_rng(0).permutation(len(rows))]
    assert rows_of(interactions(rows).ordered()) == rows_of(interactions(shuffled).ordered())
