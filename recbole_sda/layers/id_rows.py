"""Rows of an id table that content starts, bounds, shares or smooths."""

from typing import Callable, Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

UNBOUNDED = 1e9  # in place of infinity, whose gradient is undefined


class Smoothing(nn.Module):
    """Adds to each row a weighted sum of the rows of its neighbours: ``E + A E`` with a constant graph A.

    The gradient of an item reaches its neighbours too, so that the row of a rare item learns from similar, more frequent ones.
    Item tables smoothed over a graph: GES-SASRec (TKDE 2023), FREEDOM (MM 2023).

    Args:
        graph: returns ``A E`` of a table E (n_rows, dim); for example a :class:`~recbole_sda.graphs.sparse.SparseMatrix`.
        index: the same entries as lists: neighbours of each row, (n_rows, k), int64.
        weight: their weights, (n_rows, k), float32; 0 where a row has fewer than k.

    Example:
        >>> matrix = torch.zeros(4, 4)
        >>> matrix[1, 2] = 0.5  # item 2 is the neighbour of item 1
        >>> smoothing = Smoothing(matrix.matmul, torch.tensor([[0], [2], [0], [0]]), torch.tensor([[0.0], [0.5], [0.0], [0.0]]))
        >>> table = torch.tensor([[0.0], [1.0], [4.0], [9.0]])
        >>> smoothing(table).flatten().tolist()
        [0.0, 3.0, 4.0, 9.0]
        >>> ids = torch.tensor([0, 1])
        >>> smoothing.of(ids, table).flatten().tolist()
        [0.0, 3.0]
        >>> needed = smoothing.with_neighbours(ids)
        >>> needed.tolist(), smoothing.of(ids, table[needed], needed).flatten().tolist()
        ([0, 1, 2], [0.0, 3.0])
    """

    index: Tensor
    weight: Tensor

    def __init__(self, graph: Callable[[Tensor], Tensor], index: Tensor, weight: Tensor):
        super().__init__()
        self.graph = graph
        own = torch.arange(len(index)).unsqueeze(1)
        self.register_buffer("index", torch.cat([own, index], dim=1), persistent=False)
        self.register_buffer("weight", torch.cat([torch.ones_like(weight[:, :1]), weight], dim=1), persistent=False)

    def forward(self, table: Tensor) -> Tensor:
        """Return the smoothed table (n_rows, dim)."""
        return table + self.graph(table)

    def with_neighbours(self, ids: Tensor) -> Tensor:
        """Return ``ids`` (n,) and their neighbours, distinct and ascending; item 0 is always among them."""
        needed = torch.zeros(len(self.index), dtype=torch.bool, device=ids.device)
        needed[0] = True
        needed[self.index[ids].flatten()] = True
        return needed.nonzero().squeeze(1)

    def of(self, ids: Tensor, rows: Tensor, needed: Optional[Tensor] = None) -> Tensor:
        """Return the smoothed rows of ``ids`` (n,), (n, dim).

        Args:
            ids: item ids.
            rows: the rows before smoothing, of the whole table or of ``needed``.
            needed: the result of :meth:`with_neighbours`; None: ``rows`` is the whole table.
        """
        index = self.index[ids]
        if needed is not None:
            position = torch.empty(len(self.index), dtype=torch.int64, device=ids.device)
            position[needed] = torch.arange(len(needed), device=ids.device)
            index = position[index]
        return F.embedding_bag(index, rows, per_sample_weights=self.weight[ids].to(rows), mode="sum")


class BoundedRows(nn.Module):
    """Fixed content rows plus learned rows whose length is bounded: ``c_i + d_i`` with ``|d_i| <= bound_i``.

    An item stays near its content, at a distance that its bound limits ("Let It Go? Not Quite", RecSys 2025, where the bound is
    the same for all items and holds after each step of the optimizer; here it is part of the formula).

    Args:
        content: c, (n_rows, dim); zero for rows without content.
        bound: (n_rows,); infinity for rows that are not bounded.

    Example:
        >>> rows = BoundedRows(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([0.5, float("inf")]))
        >>> rows(torch.tensor([[0.0, 2.0], [0.0, 2.0]])).tolist()
        [[1.0, 0.5], [0.0, 2.0]]
    """

    content: Tensor
    bound: Tensor

    def __init__(self, content: Tensor, bound: Tensor):
        super().__init__()
        self.register_buffer("content", content, persistent=False)
        self.register_buffer("bound", bound.clamp(max=UNBOUNDED).unsqueeze(1), persistent=False)

    def forward(self, rows: Tensor, ids: Optional[Tensor] = None) -> Tensor:
        """Return the rows of ``ids`` (n,), or of all items, from their learned rows (n, dim)."""
        content, bound = (self.content, self.bound) if ids is None else (self.content[ids], self.bound[ids])
        length = rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return content + rows * (bound / length).clamp(max=1.0)


class CodeRows(nn.Module):
    """Rows shared by the items of one code: the sum over levels of the row of an item's code on that level.

    The row of a code is trained by all of its items, frequent and rare ones. Semantic ids as shared parameters: TIGER (NeurIPS
    2023), AKT-Rec.

    Args:
        codes: code of each item on each level, (n_items, n_levels), from 0; -1 for an item without codes.
        sizes: number of codes of each level.
        dim: width of the rows.
        std: standard deviation of an item's initial sum.

    Example:
        >>> codes = CodeRows(torch.tensor([[-1, -1], [0, 1], [0, 1]]), [2, 2], dim=4, std=0.1)
        >>> rows = codes(torch.tensor([0, 1, 2]))
        >>> bool((rows[0] == 0).all()), bool((rows[1] == rows[2]).all())
        (True, True)
    """

    codes: Tensor

    def __init__(self, codes: Tensor, sizes: Sequence[int], dim: int, std: float):
        super().__init__()
        offset = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.table = nn.Embedding(sum(sizes), dim)
        nn.init.normal_(self.table.weight, std=std / len(sizes) ** 0.5)
        self.register_buffer("codes", torch.where(codes >= 0, codes + offset, -1))

    def forward(self, ids: Optional[Tensor] = None) -> Tensor:
        """Return the sum of the code rows of ``ids`` (n,), or of all items; zero without codes."""
        codes = self.codes if ids is None else self.codes[ids]
        return self.table(codes.clamp(min=0)).sum(dim=1) * (codes[:, :1] >= 0)


class IdRows(nn.Module):
    """The rows of an id table as a model sees them: weighted, bounded, then with shared code rows, then smoothed.

    Args:
        weight: factor of each learned row, (n_rows,); None: 1.
        bounded: adds fixed content and bounds the learned rows; None leaves them free.
        codes: rows that items share; None: none.
        smoothing: averages with neighbours; None: none.
    """

    weight: Optional[Tensor]

    def __init__(
        self,
        weight: Optional[Tensor] = None,
        bounded: Optional[BoundedRows] = None,
        codes: Optional[CodeRows] = None,
        smoothing: Optional[Smoothing] = None,
    ):
        super().__init__()
        self.register_buffer("weight", None if weight is None else weight.unsqueeze(1), persistent=False)
        self.bounded, self.codes, self.smoothing = bounded, codes, smoothing

    def forward(self, table: nn.Embedding, ids: Optional[Tensor] = None) -> Tensor:
        """Return the rows of ``ids`` (n,), or of the whole table, (n, dim)."""
        if self.smoothing is None:
            return self._unsmoothed(table, ids)
        if ids is None:
            return self.smoothing(self._unsmoothed(table, None))
        if not table.sparse:
            return self.smoothing.of(ids, self._unsmoothed(table, None))
        needed = self.smoothing.with_neighbours(ids)
        return self.smoothing.of(ids, self._unsmoothed(table, needed), needed)

    def _unsmoothed(self, table: nn.Embedding, ids: Optional[Tensor]) -> Tensor:
        rows = table.weight if ids is None else table(ids)
        if self.weight is not None:
            rows = rows * (self.weight if ids is None else self.weight[ids])
        if self.bounded is not None:
            rows = self.bounded(rows, ids)
        return rows if self.codes is None else rows + self.codes(ids)
