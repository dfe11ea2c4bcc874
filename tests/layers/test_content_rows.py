"""Rows of items without training interactions."""

import pytest
import torch

from recbole_sda.layers.content_rows import Completion, ContentRows

INDEX = torch.tensor([[2, 4, 1], [5, 1, 3]])
WEIGHT = torch.tensor([[0.5, 0.3, 0.2], [0.7, 0.2, 0.1]])


@pytest.fixture
def table():
    return torch.randn(7, 5, generator=torch.Generator().manual_seed(0))


def slow(table):
    """Rows by loops, in float64."""
    rows = []
    for index, weight in zip(INDEX.tolist(), WEIGHT.double().tolist()):
        mean, length = torch.zeros(table.shape[1], dtype=torch.float64), 0.0
        for item, w in zip(index, weight):
            mean += w * table[item].double()
            length += w * float(table[item].double().square().sum() ** 0.5)
        rows.append(mean / mean.square().sum() ** 0.5 * length)
    return torch.stack(rows).float()


def test_rows_equal_a_loop_over_neighbours(table):
    torch.testing.assert_close(ContentRows(INDEX, WEIGHT).of(table), slow(table))


def test_the_length_is_a_multiple_of_the_neighbours(table):
    torch.testing.assert_close(ContentRows(INDEX, WEIGHT, scale=1.5).of(table), 1.5 * slow(table))


def test_one_neighbour_gives_its_row_and_zero_rows_give_zero(table):
    rows = ContentRows(torch.tensor([[3, 1]]), torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(rows.of(table), table[3:4])
    assert torch.equal(rows.of(torch.zeros(7, 5)), torch.zeros(1, 5))


def test_the_part_from_content_is_kept_and_only_the_trained_part_comes_from_neighbours(table):
    rows, encoded = ContentRows(INDEX, WEIGHT), torch.randn(9, 5)
    cold = Completion(rows, torch.tensor([2, 6]))
    expected = table + encoded[:7]
    expected[[2, 6]] = slow(table) + encoded[[2, 6]]
    torch.testing.assert_close(cold.table(table + encoded[:7], table), expected)
    new = Completion(rows, own=encoded[7:])
    result = new.table(table + encoded[:7], table)
    assert torch.equal(result[:7], table + encoded[:7])
    torch.testing.assert_close(result[7:], slow(table) + encoded[7:])


def test_rows_that_content_alone_makes_stay_as_they_are(table):
    cold = Completion(ContentRows(INDEX, WEIGHT), torch.tensor([2, 6]))
    assert torch.equal(cold.table(table, torch.zeros_like(table)), table)


def test_biases_are_means_without_a_length(table):
    bias = torch.tensor([[0.0], [1.0], [-1.0], [2.0], [3.0], [-2.0], [9.0]])
    means = torch.tensor([[-0.5 + 0.9 + 0.2], [-1.4 + 0.2 + 0.2]])
    rows = ContentRows(INDEX, WEIGHT)
    torch.testing.assert_close(Completion(rows).bias(bias), torch.cat([bias, means]))
    cold = Completion(rows, torch.tensor([6, 0])).bias(bias)
    torch.testing.assert_close(cold[[6, 0]], means)
    assert torch.equal(cold[1:6], bias[1:6])
