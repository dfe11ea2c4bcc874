"""Alignment with a frozen collaborative table."""

import torch

from recbole_sda.losses.alignment import CollaborativeAlignment
from recbole_sda.losses.cmsa import CMSALoss


def test_is_the_contrast_with_the_rows_of_the_table():
    torch.manual_seed(0)
    table, known = torch.randn(7, 4), torch.tensor([0, 1, 1, 0, 1, 1, 1]).bool()
    items, embeddings = torch.tensor([6, 3, 1, 4]), torch.randn(4, 4)
    loss = CollaborativeAlignment(table, known)(items, embeddings)
    kept = [0, 2, 3]  # item 3 is not in the table
    expected = CMSALoss(2.0, False, None, False, False)(embeddings[kept], table[items[kept]])
    torch.testing.assert_close(loss, expected)


def test_the_table_is_frozen_and_the_encoder_learns():
    alignment = CollaborativeAlignment(torch.randn(5, 3), torch.ones(5).bool())
    assert not list(alignment.parameters())
    embeddings = torch.randn(3, 3, requires_grad=True)
    alignment(torch.tensor([1, 2, 3]), embeddings).backward()
    assert embeddings.grad.any()


def test_nothing_known_is_zero():
    alignment = CollaborativeAlignment(torch.randn(5, 3), torch.zeros(5).bool())
    assert alignment(torch.tensor([1, 2]), torch.randn(2, 3)).item() == 0.0
