"""The embedding space of a run."""

import numpy as np

from recbole_sda.report.embedding_space import cross_modal_recall, read_space


def test_the_space_of_a_run(runs):
    assert read_space(runs[0]) is None
    space = read_space(runs[2])
    assert space.names == ["image", "text"] and [x.shape[1] for x in space.before] == [6, 10]
    assert space.after[0].shape == space.after[1].shape == (len(space.before[0]), 64)
    x = np.eye(20) + 0.01
    assert cross_modal_recall(x, x, 1) == 1.0 and cross_modal_recall(x, np.roll(x, 1, axis=0), 1) == 0.0
