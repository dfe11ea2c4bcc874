"""Groups of items and users, their metrics, and the distribution of recommendations, by hand."""

import numpy as np

from recbole_sda.metrics.groups import below_limit, coverage_and_gini, item_groups, quintiles, user_groups
from recbole_sda.metrics.ranks import Cases

POPULARITY = np.array([0, 0, 2, 5, 9])  # items 1 to 4; 0 is padding
CASES = Cases(np.arange(4), np.array([1, 2, 3, 4]), np.array([1, 2, 3, 4]), np.array([1, 30, 2, 1]))


def test_items_by_hand():
    groups = item_groups(CASES, POPULARITY, [10], 4)
    assert groups["cold"] == {"cases": 1, "hit@10": 1.0, "ndcg@10": 1.0, "mrr@10": 1.0}
    assert groups["tail"]["cases"] == 2 and groups["tail"]["hit@10"] == 0.5
    assert groups["head"]["cases"] == 2 and groups["head"]["mrr@10"] == 0.75
    assert sum(groups[f"quintile {k}"]["cases"] for k in range(1, 6)) == 4


def test_users_by_hand():
    history = np.array([0, 3, 9, 8, 20])
    groups = user_groups(CASES, history, [10], 9)
    assert groups["short"]["cases"] == 2 and groups["short"]["hit@10"] == 1.0
    assert groups["long"]["cases"] == 2 and groups["long"]["recall@10"] == 0.5


def test_limits_are_numbers_or_shares():
    counts = np.array([1, 1, 2, 3, 9])
    assert below_limit(counts, 2).tolist() == [True, True, False, False, False]
    assert below_limit(counts, 0.4).tolist() == [True, True, False, False, False]
    assert below_limit(counts, 0.2).sum() == 0  # not one of the two equal counts alone
    assert below_limit(np.empty(0), 0.5).tolist() == []


def test_quintiles_have_equal_sizes_and_keep_equal_counts_together():
    assert np.bincount(quintiles(np.arange(50))).tolist() == [10] * 5
    assert len(set(quintiles(np.array([3, 3, 3, 3])))) == 1


def test_coverage_and_gini_by_hand():
    assert coverage_and_gini(np.array([0, 5, 5, 5, 5]), POPULARITY) == {
        "coverage": 1.0,
        "gini": 0.0,
        "average_popularity": 4.0,
    }
    one = coverage_and_gini(np.array([0, 0, 0, 0, 8]), POPULARITY)
    assert one == {"coverage": 0.25, "gini": 0.75, "average_popularity": 9.0}
    assert coverage_and_gini(np.zeros(5), POPULARITY)["coverage"] == 0.0
