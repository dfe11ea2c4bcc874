"""Paired tests: error rates under the null hypothesis, ties, the direction by signed ranks; corrected p-values."""

import numpy as np
import pytest

from recbole_sda.metrics.significance import correct_p_values, paired_tests

RNG = np.random.default_rng(0)


def test_a_real_difference_and_none():
    base = RNG.random(500)
    better = paired_tests(base + 0.05 + 0.1 * RNG.normal(size=500), base)
    assert (
        better["wilcoxon"] < 1e-6 and better["t"] < 1e-6 and 0 < better["low"] < better["difference"] < better["high"]
    )
    same = paired_tests(base, base)
    assert same == {
        "users": 500, "difference": 0.0, "wilcoxon": 1.0, "t": 1.0, "low": 0.0, "high": 0.0, "favours": 0
    }  # fmt: skip


def test_error_rate_of_the_t_test_is_its_level():
    rejected = [paired_tests(RNG.normal(size=60), RNG.normal(size=60))["t"] < 0.05 for _ in range(60)]
    assert sum(rejected) <= 9


def test_users_without_a_difference_do_not_hide_the_others():
    """Nine users in ten have no difference, and the signs of the rest are random: p-values are about uniform."""
    change = np.where(RNG.random(1000) < 0.1, RNG.random(1000), 0.0)
    p_values = [paired_tests(change * RNG.choice([-1, 1], 1000), np.zeros(1000))["wilcoxon"] for _ in range(200)]
    assert 0.35 < np.mean(np.array(p_values) < 0.5) < 0.65 and np.mean(np.array(p_values) < 0.1) > 0.04


def test_changes_of_equal_size_are_tied():
    """Averages over three seeds: equally many users change from 0 to 1/3 and from 1 to 2/3, which differ in the last bit."""
    base = np.repeat([0.0, 1.0], 60)
    ours = np.repeat([np.mean([0, 0, 1.0]), np.mean([1.0, 1.0, 0])], 60)
    result = paired_tests(ours, base)
    assert result["wilcoxon"] == 1.0 and result["favours"] == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_direction_is_the_sign_of_the_signed_ranks(sign):
    """By hand: ranks 1 to 6 and 12 are gains, sum 33, ranks 7 to 11 losses, sum 45, though there are more gains and their mean is
    larger. The ten users without a difference have no rank."""
    changes = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.9, -0.1, -0.11, -0.12, -0.13, -0.14]
    difference = sign * np.array(changes + [0.0] * 10)
    result = paired_tests(difference, np.zeros(22))
    assert np.sign(result["difference"]) == np.sign(np.sign(difference).sum()) == sign
    assert result["favours"] == -sign


def test_direction_and_mean_can_differ_significantly():
    """Many users lose a little, few gain much."""
    result = paired_tests(np.repeat([0.9, 1.0], [300, 40]), np.repeat([1.0, 0.0], [300, 40]))
    assert result["difference"] > 0 and result["wilcoxon"] < 1e-9 and result["favours"] == -1


def test_corrections_by_hand():
    assert np.allclose(correct_p_values([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    assert np.allclose(correct_p_values([0.01, 0.04, 0.03], "benjamini-hochberg"), [0.03, 0.04, 0.04])
    assert correct_p_values([]) == []
