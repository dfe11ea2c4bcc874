"""Negatives of the sampled protocol."""

import numpy as np
import pytest

from recbole_sda.candidates import draw_negatives


@pytest.mark.parametrize("n_items, k", [(12, 10), (40, 10), (41, 10), (5000, 100)])
def test_distinct_items_without_the_positive_and_the_padding(n_items, k):
    positives = np.random.default_rng(0).integers(1, n_items, 300)
    drawn = draw_negatives(positives, n_items, k, 7)
    assert drawn.shape == (300, k) and drawn.min() >= 1 and drawn.max() < n_items
    assert all(len(set(row)) == k and positive not in row for row, positive in zip(drawn, positives))
    assert np.array_equal(drawn, draw_negatives(positives, n_items, k, 7))
    if k < n_items - 2:
        assert not np.array_equal(drawn, draw_negatives(positives, n_items, k, 8))


@pytest.mark.parametrize("n_items, k", [(13, 4), (80, 10)])
def test_every_item_is_as_likely(n_items, k):
    drawn = draw_negatives(np.ones(40_000, dtype=int), n_items, k, 0)
    counts = np.bincount(drawn.ravel(), minlength=n_items)
    expected = 40_000 * k / (n_items - 2)
    assert counts[:2].sum() == 0 and np.abs(counts[2:] / expected - 1).max() < 6 / np.sqrt(expected)


def test_too_few_items():
    with pytest.raises(ValueError, match="100 negatives are asked for, and there are 48 items"):
        draw_negatives(np.ones(3, dtype=int), 50, 100, 0)
