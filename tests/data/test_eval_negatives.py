"""Negatives of the sampled protocol."""

import numpy as np
import pytest

from recbole_sda.data.eval_negatives import draw_negatives, fixed_negatives


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
    first = fixed_negatives(tmp_path, "test", groups, taken, tokens, 4, 1)
    (path,) = tmp_path.iterdir()
    marked = first.copy()
    marked[0, 0] = 29
    np.savez_compressed(path, items=marked)
    assert np.array_equal(fixed_negatives(tmp_path, "test", groups, taken, tokens, 4, 1), marked)
    path.write_bytes(b"broken")
    assert np.array_equal(fixed_negatives(tmp_path, "test", groups, taken, tokens, 4, 1), first)
    assert "is damaged" in caplog.text and list(tmp_path.iterdir()) == [path]
    others = [
        ("valid", groups, taken, tokens, 4, 1),
        ("test", groups, taken[1:], tokens, 4, 1),
        ("test", groups, taken, tokens[::-1], 4, 1),
        ("test", groups, taken, tokens, 4, 2),
    ]
    found = [fixed_negatives(tmp_path, *other) for other in others]
    assert len(list(tmp_path.iterdir())) == 5
    assert not np.array_equal(found[0], first) and not np.array_equal(found[3], first)


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_file(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("")
    args = ("test", np.arange(3), np.empty(0, dtype=int), ["a", "b", "c", "d"], 2, 0)
    assert np.array_equal(fixed_negatives(blocked, *args), fixed_negatives(tmp_path / "open", *args))
    assert "cannot be stored" in caplog.text
