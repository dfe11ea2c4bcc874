import numpy as np

from recbole_sda.metrics.significance import corrected, paired_tests

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


def test_no_difference_is_found_as_often_as_the_level_says():
    found = [paired_tests(RNG.normal(size=60), RNG.normal(size=60))["t"] < 0.05 for _ in range(60)]
    assert sum(found) <= 9


def test_users_served_alike_do_not_hide_the_others():
    """Nine users in ten get the same from both; signs of the rest are drawn: p-values are as often small as they say."""
    change = np.where(RNG.random(1000) < 0.1, RNG.random(1000), 0.0)
    found = [paired_tests(change * RNG.choice([-1, 1], 1000), np.zeros(1000))["wilcoxon"] for _ in range(200)]
    assert 0.35 < np.mean(np.array(found) < 0.5) < 0.65 and np.mean(np.array(found) < 0.1) > 0.04


def test_changes_of_one_size_are_tied():
    """Averages over three seeds: as many users go from 0 to 1/3 as from 1 to 2/3, which differ in the last bit."""
    base = np.repeat([0.0, 1.0], 60)
    ours = np.repeat([np.mean([0, 0, 1.0]), np.mean([1.0, 1.0, 0])], 60)
    found = paired_tests(ours, base)
    assert found["wilcoxon"] == 1.0 and found["favours"] == 0


def test_the_ranks_may_speak_against_the_mean():
    """Many users lose a little, few gain much."""
    found = paired_tests(np.repeat([0.9, 1.0], [300, 40]), np.repeat([1.0, 0.0], [300, 40]))
    assert found["difference"] > 0 and found["wilcoxon"] < 1e-9 and found["favours"] == -1


def test_corrections_by_hand():
    assert np.allclose(corrected([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    assert np.allclose(corrected([0.01, 0.04, 0.03], "benjamini-hochberg"), [0.03, 0.04, 0.04])
    assert corrected([]) == []
