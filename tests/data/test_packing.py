"""Windows against RecBole's own samples, written out one by one."""

import numpy as np
import pytest
import torch

from recbole_sda.data.packing import assemble, batch_plan, cut


def sequences(seed=0, longest=25, n=40):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest, n)
    return [rng.integers(1, 100, length) for length in lengths]


def windows_of(parts, max_length, stride):
    return cut(np.concatenate(parts), np.array([len(p) for p in parts]), np.arange(len(parts)), max_length, stride)


def samples(windows):
    """(user, target, history) of every target, from the assembled rows."""
    inputs, targets = (part.numpy() for part in assemble(windows.to("cpu"), torch.arange(len(windows.start))))
    return [
        (int(user), int(row_t[j]), tuple(row_i[: j + 1].tolist()))
        for user, row_i, row_t in zip(windows.user, inputs, targets)
        for j in np.flatnonzero(row_t)
    ]


def recbole_samples(parts, max_length):
    return [
        (user, int(part[j]), tuple(part[max(0, j - max_length) : j].tolist()))
        for user, part in enumerate(parts)
        for j in range(1, len(part))
    ]


@pytest.mark.parametrize("max_length", [3, 7, 24, 30])
def test_stride_one_gives_recboles_samples(max_length):
    parts = sequences()
    assert sorted(samples(windows_of(parts, max_length, 1))) == sorted(recbole_samples(parts, max_length))


@pytest.mark.parametrize("max_length, stride", [(7, 3), (7, 7), (10, 5), (4, 2)])
def test_every_target_once_with_the_end_of_its_history(max_length, stride):
    parts = sequences(1)
    ours, theirs = samples(windows_of(parts, max_length, stride)), recbole_samples(parts, max_length)
    assert len(ours) == len(theirs)
    for (user, target, history), (other, wanted, full) in zip(sorted_by_place(ours), theirs):
        assert (user, target) == (other, wanted)
        assert history == full[len(full) - len(history) :]
        if len(full) < max_length:
            assert history == full
        else:
            assert max_length - stride + 1 <= len(history) <= max_length
    assert {user for user, *_ in ours} == {user for user, *_ in theirs}


def sorted_by_place(found):
    """Windows come in the order of sequences and of their targets."""
    return sorted(found, key=lambda sample: sample[0])


def plan_of(windows, size, seed):
    return batch_plan(windows.length, windows.n_targets, size, np.random.default_rng(seed))


def test_rows_of_weight_one_make_batches_of_exactly_the_size():
    plan = batch_plan(np.arange(100) % 7, np.ones(100, dtype=int), 16, np.random.default_rng(0))
    assert sorted(map(len, plan)) == [4, 16, 16, 16, 16, 16, 16] and sorted(np.concatenate(plan)) == list(range(100))


def test_batches_hold_every_window_once_and_the_wished_number_of_targets():
    windows = windows_of(sequences(2, n=500), 10, 5)
    plan = plan_of(windows, 64, 0)
    assert sorted(np.concatenate(plan)) == list(range(len(windows.start)))
    sizes = np.array([windows.n_targets[batch].sum() for batch in plan])
    assert sizes.max() <= 64 + 10 and abs(sizes.mean() - 64) < 5
    other = plan_of(windows, 64, 1)
    assert any(len(a) != len(b) or (a != b).any() for a, b in zip(plan, other))


def test_like_lengths_share_a_batch():
    windows = windows_of(sequences(3, longest=50, n=3000), 50, 25)
    plan = plan_of(windows, 512, 0)
    padded = sum(windows.length[batch].max() * len(batch) for batch in plan)
    assert windows.length.sum() > 0.9 * padded


def test_sequences_without_a_target_have_no_window():
    assert len(windows_of([np.array([1]), np.array([2, 3]), np.array([4])], 5, 2).start) == 1
