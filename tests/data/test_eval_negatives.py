"""Negatives of the sampled protocol."""

from itertools import combinations, permutations

import numpy as np
import pytest

from recbole_sda.data import eval_negatives
from recbole_sda.data.eval_negatives import Sampling, draw_negatives, fixed_negatives


def keys(groups, items, n_items):
    return np.unique(np.asarray(groups) * n_items + np.asarray(items))


@pytest.mark.parametrize("n_items, k", [(12, 10), (40, 10), (41, 10), (5000, 100)])
def test_distinct_items_without_the_positive_and_the_padding(n_items, k):
    positives = np.random.default_rng(0).integers(1, n_items, 300)
    rows = np.arange(300)
    taken = keys(rows, positives, n_items)
    drawn = draw_negatives(rows, taken, n_items, k, 7)
    assert drawn.shape == (300, k) and drawn.min() >= 1 and drawn.max() < n_items
    assert all(len(set(row)) == k and positive not in row for row, positive in zip(drawn, positives))
    assert np.array_equal(drawn, draw_negatives(rows, taken, n_items, k, 7))
    if k < n_items - 2:
        assert not np.array_equal(drawn, draw_negatives(rows, taken, n_items, k, 8))


@pytest.mark.parametrize("n_items, k", [(13, 4), (80, 10)])
def test_every_item_is_as_likely(n_items, k):
    drawn = draw_negatives(np.zeros(40_000, dtype=int), np.array([1]), n_items, k, 0)
    counts = np.bincount(drawn.ravel(), minlength=n_items)
    expected = 40_000 * k / (n_items - 2)
    assert counts[:2].sum() == 0 and np.abs(counts[2:] / expected - 1).max() < 6 / np.sqrt(expected)


WAYS = {"_by_rejection": [0, 2, 2, 1, 3, 1, 1, 2, 1, 1, 1, 2, 1, 1, 2, 0], "_from_shuffled": [0, 50, 20, 7, 3, 1, 0]}


@pytest.mark.parametrize("way", WAYS)
def test_by_popularity_without_replacement(way, monkeypatch):
    """Each set of two items is as frequent as drawing one after the other makes it; item 3 is taken."""
    for other in WAYS.keys() - {way}:
        monkeypatch.setattr(eval_negatives, other, lambda groups, *args: np.empty((0, 2)) if not len(groups) else 1 / 0)
    counts, n = np.array(WAYS[way]), 60_000
    share = np.where(np.arange(len(counts)) == 3, 0, counts) / (counts.sum() - counts[3])
    drawn = draw_negatives(np.zeros(n, dtype=int), np.array([3]), len(counts), 2, 5, counts)
    sets = list(combinations(range(len(counts)), 2))
    expected = n * np.array([sum(share[a] * share[b] / (1 - share[a]) for a, b in permutations(pair)) for pair in sets])
    found = np.array([((drawn == pair).all(axis=1)).sum() for pair in sets])
    assert found.sum() == n and not found[expected == 0].any()
    likely = expected > 0
    chi_square, freedom = ((found - expected)[likely] ** 2 / expected[likely]).sum(), likely.sum() - 1
    assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)
    flat = n * 2 / len(sets)
    assert ((found - flat) ** 2 / flat).sum() > 100 * freedom  # the test tells it from uniform draws


def test_popularity_is_recboles(build):
    """Shares of RecBole's sampler of the training part, and of ours."""
    from recbole.sampler import Sampler as RecBoles
    from recbole.utils import init_seed

    training = build("BPR").data.train.dataset
    init_seed(1, True)
    theirs = RecBoles(["train"], [training], "popularity").sampling(100_000)
    counts = np.bincount(training.inter_feat["item_id"].numpy(), minlength=training.item_num)
    ours = draw_negatives(np.zeros(100_000, dtype=int), np.empty(0, dtype=int), len(counts), 1, 3, counts)
    shares = [np.bincount(drawn.ravel(), minlength=len(counts)) / 100_000 for drawn in (theirs, ours)]
    noise = np.sqrt(counts / counts.sum() / 100_000)
    assert (np.abs(shares[0] - shares[1]) <= 7 * noise).all() and counts.max() > 2 * counts[1:].min()


def test_items_without_popularity_are_never_drawn():
    counts = np.array([9, 0, 4, 1, 2, 0])  # that of padding is not read
    drawn = draw_negatives(np.arange(20), keys(np.arange(20), [4] * 20, 6), 6, 2, 0, counts)
    assert (drawn == [2, 3]).all()
    with pytest.raises(ValueError, match="3 negatives are required, but a case has only 2 items"):
        draw_negatives(np.arange(20), keys(np.arange(20), [4] * 20, 6), 6, 3, 0, counts)


def test_uniform_draws_are_those_of_equal_popularity():
    taken = keys(np.arange(300), np.arange(300) % 9 + 1, 400)
    for n_items, k in ((400, 5), (400, 250)):
        same = (np.arange(300), taken, n_items, k, 3)
        assert np.array_equal(draw_negatives(*same), draw_negatives(*same, np.ones(n_items, dtype=int)))


def test_groups_differ_in_what_they_have_taken():
    """Group 0 has 45 of 50 items, group 2 one; rows of a group share what is taken, not what is drawn."""
    groups = np.array([2, 0, 2, 0])
    taken = keys([0] * 45 + [2], [*range(1, 46), 7], 51)
    drawn = draw_negatives(groups, taken, 51, 5, 0)
    assert drawn[1].tolist() == drawn[3].tolist() == [46, 47, 48, 49, 50]
    assert 7 not in drawn[[0, 2]] and drawn[0].tolist() != drawn[2].tolist()
    with pytest.raises(ValueError, match="6 negatives are required, but a case has only 5 items"):
        draw_negatives(groups, taken, 51, 6, 0)


def test_drawn_once_and_kept(tmp_path, caplog):
    groups, taken, tokens = np.arange(20), keys(np.arange(20), np.arange(20) % 6 + 1, 30), [f"i{k}" for k in range(30)]
    first = fixed_negatives(tmp_path, Sampling("uni4", "test"), groups, taken, tokens, 1)
    (path,) = tmp_path.iterdir()
    marked = first.copy()
    marked[0, 0] = 29
    np.savez_compressed(path, items=marked)
    assert np.array_equal(fixed_negatives(tmp_path, Sampling("uni4", "test"), groups, taken, tokens, 1), marked)
    path.write_bytes(b"broken")
    assert np.array_equal(fixed_negatives(tmp_path, Sampling("uni4", "test"), groups, taken, tokens, 1), first)
    assert "is damaged" in caplog.text and list(tmp_path.iterdir()) == [path]
    others = [
        (Sampling("uni4", "valid"), groups, taken, tokens, 1),
        (Sampling("uni4", "test"), groups, taken[1:], tokens, 1),
        (Sampling("uni4", "test"), groups, taken, tokens[::-1], 1),
        (Sampling("uni4", "test"), groups, taken, tokens, 2),
        (Sampling("pop4", "test", np.arange(30)), groups, taken, tokens, 1),
        (Sampling("pop4", "test", np.arange(1, 31)), groups, taken, tokens, 1),
    ]
    found = [fixed_negatives(tmp_path, *other) for other in others]
    assert len(list(tmp_path.iterdir())) == 7
    assert not np.array_equal(found[0], first) and not np.array_equal(found[3], first)


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_file(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("")
    args = (Sampling("uni2", "test"), np.arange(3), np.empty(0, dtype=int), ["a", "b", "c", "d"], 0)
    assert np.array_equal(fixed_negatives(blocked, *args), fixed_negatives(tmp_path / "open", *args))
    assert "cannot be stored" in caplog.text
