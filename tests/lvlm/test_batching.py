import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_sda.lvlm.batching import distinct, length_groups, padding_share, token_batches


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


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(2, 15), st.booleans())
def test_groups_hold_each_text_once_and_no_column_of_padding_alone(lengths, n, left):
    mask = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    for row, length in zip(mask, lengths):
        row[-length:] = 1
        if not left:
            row[:] = row.flip(0)
    ids = mask * torch.arange(1, mask.numel() + 1).view_as(mask)
    groups = length_groups({"input_ids": ids, "attention_mask": mask}, n)
    assert torch.cat([rows for rows, _ in groups]).sort().values.tolist() == list(range(len(lengths)))
    assert len(groups) == min(n, len(lengths))
    for rows, inputs in groups:
        assert inputs["attention_mask"].shape == (len(rows), max(lengths[k] for k in rows))
        for k, found in zip(rows.tolist(), inputs["input_ids"]):
            assert found[found > 0].tolist() == ids[k][ids[k] > 0].tolist()


@pytest.mark.parametrize(
    "batch",
    [
        {"attention_mask": torch.tensor([[1, 0], [1, 1]]), "pixel_values": torch.zeros(2, 3)},
        {"input_ids": torch.tensor([[3, 0], [4, 5]])},  # as of SigLIP, which attends to padding
    ],
)
def test_a_batch_with_inputs_of_another_shape_or_without_a_mask_stays_whole(batch):
    ((rows, inputs),) = length_groups(batch, 2)
    assert inputs is batch and rows.tolist() == [0, 1]
