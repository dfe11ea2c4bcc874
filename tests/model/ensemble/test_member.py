"""Members of an ensemble: what their models get, and scores that are standardised block by block."""

import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_sda.model.ensemble import member as module
from recbole_sda.model.ensemble.member import Member, in_cache, standardise_


@pytest.fixture
def batch():
    items = torch.tensor([[1, 2, 3, 4, 0, 0], [5, 6, 0, 0, 0, 0]])
    return Interaction({"user": torch.tensor([7, 8]), "items": items, "n": torch.tensor([4, 2])})


@pytest.mark.parametrize(
    "longest, trimmed, expected",
    [
        (3, False, [[2, 3, 4], [5, 6, 0]]),
        (3, True, [[2, 3, 4], [5, 6, 0]]),
        (6, False, [[1, 2, 3, 4, 0, 0], [5, 6, 0, 0, 0, 0]]),
        (6, True, [[1, 2, 3, 4], [5, 6, 0, 0]]),
    ],
)
def test_histories_have_the_last_items_without_needless_padding(batch, longest, trimmed, expected):
    given = Member("m", torch.nn.Identity(), longest, {}, trimmed).input(batch, "items", "n")
    assert given["items"].tolist() == expected and given["n"].tolist() == [min(4, longest), 2]
    assert batch["items"].shape == (2, 6)


def test_a_batch_without_any_item_keeps_a_column(batch):
    empty = Interaction({"items": torch.zeros(2, 6).long(), "n": torch.zeros(2).long()})
    assert Member("m", torch.nn.Identity(), 6, {}, True).input(empty, "items", "n")["items"].shape == (2, 1)


def test_a_model_without_histories_gets_none(batch):
    given = Member("m", torch.nn.Identity(), 0, {}).input(batch, "items", "n")
    assert list(given.interaction) == ["user"]


@pytest.mark.parametrize("cached", [1, 25, 10**6])
def test_blocks_change_nothing(cached, monkeypatch):
    monkeypatch.setattr(module, "CACHED", cached)
    scores = torch.randn(7, 10, generator=torch.Generator().manual_seed(0))
    expected = (scores - scores[:, 1:].mean(1, True)) / scores[:, 1:].std(1, keepdim=True, correction=0)
    blocks = list(in_cache(scores, scores + 1))
    assert torch.equal(torch.cat([block for block, _ in blocks]), scores) and len(blocks) == {1: 7, 25: 4}.get(
        cached, 1
    )
    torch.testing.assert_close(standardise_(scores.clone())[:, 1:], expected[:, 1:])
