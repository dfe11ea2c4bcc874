"""Metrics of lists against slow loops, and by hand where a value is undefined."""

from collections import Counter
from math import log, log2

import numpy as np
import pytest
import scipy.sparse as sp

from recbole_sda.metrics import list_quality
from recbole_sda.metrics.list_quality import category_shares, diversities, miscalibration, popularity_metrics

N_ITEMS, N_USERS, K = 30, 12, 5
CATEGORIES = [[]] + [
    [f"c{item % 4}", f"c{item % 3 + 4}"][: 1 + item % 2] if item % 7 else [] for item in range(1, N_ITEMS)
]


@pytest.fixture
def lists() -> np.ndarray:
    rng = np.random.default_rng(0)
    chosen = np.array([rng.permutation(np.arange(1, N_ITEMS))[:K] for _ in range(20)])
    chosen[3, 2:] = 0  # a short list
    chosen[4] = 0  # an empty one
    return chosen


@pytest.fixture
def popularity() -> np.ndarray:
    counts = np.random.default_rng(1).integers(0, 11, N_ITEMS)
    counts[0] = 0
    return counts


def test_popularity_against_loops(lists, popularity):
    tail = popularity < 3
    tail[0] = False
    arp, aplt, aclt, novelty = [], [], [], []
    recommended = Counter()
    for row in lists:
        items = [item for item in row if item]
        if not items:
            continue
        recommended.update(items)
        arp.append(sum(popularity[item] for item in items) / len(items))
        aclt.append(sum(bool(tail[item]) for item in items))
        aplt.append(aclt[-1] / len(items))
        novelty.append(sum(-log2(max(popularity[item], 1) / N_USERS) for item in items) / len(items))
    times = sorted(recommended[item] for item in range(1, N_ITEMS))
    gini = sum(abs(a - b) for a in times for b in times) / (2 * len(times) * sum(times))
    found = popularity_metrics(lists, popularity, tail, N_USERS)
    expected = {
        "arp": np.mean(arp),
        "aplt": np.mean(aplt),
        "aclt": np.mean(aclt),
        "novelty": np.mean(novelty),
        "coverage": len(recommended) / (N_ITEMS - 1),
        "gini": gini,
    }
    assert found == pytest.approx(expected)


def test_no_list_has_no_value(popularity):
    assert popularity_metrics(np.zeros((2, 3), dtype=int), popularity, popularity < 3, N_USERS) == {}


def test_an_item_that_users_have_more_than_once_is_not_less_than_certain():
    popularity = np.array([0, 50, 1])
    found = popularity_metrics(np.array([[1]]), popularity, popularity < 0, 10)
    assert found["novelty"] == 0.0


@pytest.mark.parametrize("block", [None, 17])
def test_diversity_against_a_loop(lists, block, monkeypatch):
    if block:
        monkeypatch.setattr(list_quality, "BLOCK", block)
    unit = np.random.default_rng(2).normal(size=(N_ITEMS, 6))
    unit[[0, 5, 6]] = 0
    unit = (unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    expected = []
    for row in lists:
        items = [item for item in row if item not in (0, 5, 6)]
        pairs = [1 - float(unit[a] @ unit[b]) for n, a in enumerate(items) for b in items[n + 1 :]]
        expected.append(np.mean(pairs) if pairs else np.nan)
    np.testing.assert_allclose(diversities(lists, unit), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("block", [None, 17])
def test_calibration_against_a_loop(lists, block, monkeypatch):
    if block:
        monkeypatch.setattr(list_quality, "BLOCK", block)
    rng = np.random.default_rng(3)
    history = rng.integers(0, 3, size=(N_USERS, N_ITEMS))
    history[:, 0] = 0
    history[2] = 0  # a user without a history
    users = rng.integers(1, N_USERS, len(lists))
    users[:2] = 2

    def distribution(counts) -> dict:
        sums: Counter = Counter()
        n = 0.0
        for item, times in counts:
            if CATEGORIES[item] and times:
                n += times
                for name in CATEGORIES[item]:
                    sums[name] += times / len(CATEGORIES[item])
        return {name: value / n for name, value in sums.items()} if n else {}

    expected = []
    for row, user in zip(lists, users):
        p, q = distribution(enumerate(history[user])), distribution((item, 1) for item in row)
        if not p or not q:
            expected.append(np.nan)
            continue
        expected.append(sum(v * log(v / (0.99 * q.get(name, 0.0) + 0.01 * v)) for name, v in p.items()))
    found = miscalibration(lists, users, sp.csr_matrix(history), category_shares(CATEGORIES))
    assert np.isnan(expected[4]) and np.isnan(expected[0]) and np.isfinite(expected).sum() > 10
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_list_with_the_categories_of_the_history_is_calibrated():
    shares = category_shares([[], ["a"], ["b"], ["a"], ["b"]])
    history = sp.csr_matrix(np.array([[0, 1, 1, 0, 0]]))
    values = miscalibration(np.array([[3, 4], [1, 3]]), np.zeros(2, dtype=int), history, shares)
    assert values[0] == pytest.approx(0, abs=1e-12) and values[1] > 1
