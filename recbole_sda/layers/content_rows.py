"""Rows of items without training interactions: from the rows of the items that are most similar to them by content."""

from dataclasses import dataclass, replace
from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class ContentRows:
    """The weighted mean of an item's neighbours, at ``scale`` times the weighted mean of their lengths.

    The mean of vectors is shorter than they are: as a row of an item table it would get small scores.

    Attributes:
        index: neighbours of each item, (n, k), int64.
        weight: their weights, (n, k), float32, positive; each row sums to 1.
        scale: > 0.

    Example:
        >>> rows = ContentRows(torch.tensor([[1, 2]]), torch.tensor([[0.5, 0.5]]))
        >>> table = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
        >>> rows.mean(table).tolist()
        [[1.0, 1.0]]
        >>> rows.of(table).norm(dim=1).round(decimals=4).tolist()
        [2.0]
    """

    index: Tensor
    weight: Tensor
    scale: float = 1.0

    def to(self, device: torch.device) -> "ContentRows":
        """Return the rows on a device."""
        return replace(self, index=self.index.to(device), weight=self.weight.to(device))

    def mean(self, table: Tensor) -> Tensor:
        """Return the weighted means of rows of ``table`` (n_rows, dim), (n, dim)."""
        return F.embedding_bag(self.index, table, per_sample_weights=self.weight.to(table), mode="sum")

    def of(self, table: Tensor) -> Tensor:
        """Return the weighted means at ``scale`` times the weighted mean length, (n, dim)."""
        length = self.scale * self.mean(table.norm(dim=1, keepdim=True))
        return F.normalize(self.mean(table), dim=1) * length


@dataclass(frozen=True, eq=False)
class Completion:
    """What replaces the rows of ``items`` in a table, or follows its last row.

    A row of a table can be the sum of a part that content alone makes (an item encoder's) and a part that training makes (an id
    row). Only the second part comes from neighbours.

    Attributes:
        rows: the rows of the items from their neighbours.
        items: item ids, (n,), int64; None: the items are new, and follow the table.
        own: the part of the rows that content alone makes, (n, dim), for new items; None: there is none. In a table, it is there.
    """

    rows: ContentRows
    items: Optional[Tensor] = None
    own: Optional[Tensor] = None

    def table(self, table: Tensor, trained: Optional[Tensor] = None) -> Tensor:
        """Return a table (n_rows, dim) with the rows of the items.

        Args:
            table: the rows of all items.
            trained: the part of them that training makes, (n_rows, dim); None: all of it.
        """
        trained = table if trained is None else trained
        rows = self.rows.of(trained)
        if self.items is not None:
            return table.index_add(0, self.items, rows - trained[self.items])
        return torch.cat([table, rows if self.own is None else rows + self.own])

    def bias(self, bias: Tensor) -> Tensor:
        """Return a bias per item, (n_items, 1), with the mean bias of the neighbours of each of the items."""
        means = self.rows.mean(bias)
        return torch.cat([bias, means]) if self.items is None else bias.index_copy(0, self.items, means)
