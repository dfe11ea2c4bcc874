"""Rows of an id table that content bounds, shares and smooths, for all items and for a few."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

from recbole_sda.graphs.item_graphs import as_lists, scaled_rows
from recbole_sda.graphs.sparse import SparseMatrix
from recbole_sda.layers.id_rows import BoundedRows, CodeRows, IdRows, Smoothing
from recbole_sda.layers.item_embedding import EncodedItemEmbedding

N, DIM = 9, 4  # items 0 to 7 and one further row


def smoothing_of(graph: sp.csr_matrix) -> Smoothing:
    graph = scaled_rows(graph, np.random.default_rng(1).random(N - 1), N)
    return Smoothing(SparseMatrix(graph), *as_lists(graph))


def random_graph() -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    return sp.csr_matrix(rng.random((N - 1, N - 1)) * (rng.random((N - 1, N - 1)) > 0.5))


def all_ways() -> IdRows:
    torch.manual_seed(0)
    content = torch.randn(N, DIM)
    content[[0, 8]] = 0.0
    bound = torch.rand(N)
    bound[[0, 8]] = torch.inf
    codes = torch.tensor([[-1, -1], [0, 1], [0, 0], [2, 1], [-1, -1], [1, 1], [2, 0], [0, 0], [-1, -1]])
    smoothing = smoothing_of(random_graph())
    return IdRows(torch.rand(N), BoundedRows(content, bound), CodeRows(codes, [3, 2], DIM, 0.5), smoothing)


def slow(rows: IdRows, table: torch.Tensor, graph: torch.Tensor) -> torch.Tensor:
    before = []
    table = table * rows.weight
    for i in range(N):
        length, bound = table[i].norm(), rows.bounded.bound[i, 0]
        own = rows.bounded.content[i] + table[i] * (bound / length if length > bound else 1.0)
        if rows.codes.codes[i, 0] >= 0:
            for code in rows.codes.codes[i]:
                own = own + rows.codes.table.weight[code]
        before.append(own)
    after = []
    for i in range(N):
        total = before[i]
        if 0 < i < N - 1:
            for j in range(1, N - 1):
                total = total + graph[i, j] * before[j]
        after.append(total)
    return torch.stack(after)


@pytest.mark.parametrize("sparse", [False, True])
def test_rows_and_gradients_equal_a_slow_loop_for_all_and_for_few_items(sparse):
    torch.manual_seed(1)
    rows, table = all_ways(), nn.Embedding(N, DIM, sparse=sparse)
    expected = slow(rows, table.weight, rows.smoothing.graph.values.to_dense())
    ids = torch.tensor([0, 2, 5, 8])
    assert torch.allclose(rows(table, ids), expected[ids], atol=1e-6)
    if not sparse:
        assert torch.allclose(rows(table), expected, atol=1e-6)
    factor = torch.randn(len(ids), DIM)
    wanted = torch.autograd.grad((expected[ids] * factor).sum(), [table.weight, rows.codes.table.weight])
    (rows(table, ids) * factor).sum().backward()
    assert torch.allclose(table.weight.grad.to_dense() if sparse else table.weight.grad, wanted[0], atol=1e-6)
    assert torch.allclose(rows.codes.table.weight.grad, wanted[1], atol=1e-6)


def test_smoothing_leaves_padding_and_further_rows():
    graph, table = random_graph(), torch.randn(N, DIM)
    smoothing = smoothing_of(graph)
    strength = torch.from_numpy(np.random.default_rng(1).random(N - 1)).float()
    dense = torch.from_numpy(graph.toarray()).float() * strength.unsqueeze(1)
    dense[0], dense[:, 0] = 0, 0
    assert torch.allclose(smoothing(table)[: N - 1], table[: N - 1] + dense @ table[: N - 1], atol=1e-6)
    assert torch.equal(smoothing(table)[[0, 8]], table[[0, 8]])


def test_only_neighbours_are_read():
    graph = sp.csr_matrix(([1.0, 1.0], ([1, 2], [2, 3])), shape=(N - 1, N - 1))
    smoothing = smoothing_of(graph)
    assert smoothing.with_neighbours(torch.tensor([1])).tolist() == [0, 1, 2]  # not the neighbours of neighbours


def test_a_table_with_ways_looks_up_encodes_few_and_saves_like_one_without():
    torch.manual_seed(2)
    base = nn.Embedding(N, DIM, padding_idx=0)
    table = EncodedItemEmbedding(base, N - 1, id_rows=all_ways())
    whole = table.weight
    ids = torch.tensor([[3, 1], [0, 7]])
    assert torch.allclose(table(ids), whole[ids])
    with table.step():
        table.encode_only(ids)
        assert torch.allclose(table(ids), whole[ids], atol=1e-6)
        with pytest.raises(IndexError):
            table(torch.tensor([2]))
    assert set(table.state_dict()) == {"ids.weight", "id_rows.codes.codes", "id_rows.codes.table.weight"}
