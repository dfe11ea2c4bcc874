import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_sda.lvlm.batching import distinct, padding_share, token_batches


def test_distinct_inputs_in_order_of_appearance():
    first, row = distinct(["b", "a", "b", "c", "a"])
    assert first == [0, 1, 3] and row.tolist() == [0, 1, 0, 2, 1]


@given(st.lists(st.integers(1, 60), max_size=80), st.integers(1, 100))
def test_each_input_once_within_the_budget(lengths, budget):
    batches = token_batches(lengths, budget)
    assert sorted(np.concatenate(batches).tolist() if batches else []) == list(range(len(lengths)))
    padding = tokens = 0
    for batch in batches:
        longest = max(lengths[k] for k in batch)
        assert len(batch) * longest <= budget or len(batch) == 1
        padding += sum(longest - lengths[k] for k in batch)
        tokens += sum(lengths[k] for k in batch)
    assert padding_share(lengths, batches) == pytest.approx(padding / max(padding + tokens, 1))


def test_padding_share():
    assert padding_share([4, 2, 3], [np.array([0, 1]), np.array([2])]) == 1 - 9 / 11


def test_padding_of_texts_of_a_catalogue_stays_below_the_goal():
    lengths = np.random.default_rng(0).lognormal(4, 0.6, 5000).astype(int) + 1
    assert padding_share(lengths, token_batches(lengths, 8192)) < 0.11
