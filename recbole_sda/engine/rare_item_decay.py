"""Weight decay of the item id table that is stronger for items with few training interactions."""

from typing import Any, Iterable

import torch
from torch import Tensor, nn

from recbole_sda.errors import InputError
from recbole_sda.layers.item_embedding import EncodedItemEmbedding
from recbole_sda.model.registry import base_spec


def item_id_table(model: nn.Module, name: str) -> nn.Embedding:
    """Return the item id table of a model: the base model's item table, also behind the encoder of its SDA version.

    Args:
        model: the model.
        name: its name.

    Raises:
        InputError: it has none.
    """
    spec = base_spec(name)
    table = getattr(model, spec.item_table, None) if spec is not None else None
    if isinstance(table, EncodedItemEmbedding):
        table = table.ids
    if not isinstance(table, nn.Embedding):
        raise InputError(f"rare_item_decay: {name} has no item id table")
    return table


class RareItemDecay:
    """Shrinks each item's row of an id table after each step of its optimizer: ``row_i *= 1 - lr * decay / (n_i + 1)``.

    ``n_i`` is the number of the item's training interactions, ``lr`` the present learning rate of the table, with a warm-up if
    there is one. As in AdamW, the decay is decoupled: it takes no part in gradients and in their moments. It applies to all items
    in every step, also where gradients are sparse. The row of padding and rows after the items are left alone.

    There is no state beyond the optimizer's, so a resumed training continues exactly.

    Note:
        This is a method of this project, not of the paper. Full cross entropy pushes the rows of rare items away from most
        outputs in every step, and few positive examples pull them back, so these rows grow long.

    Args:
        optimizers: one of them updates the table.
        table: the id table, (n_rows, dim), n_rows >= n_items.
        counts: training interactions of each item, (n_items,); entry 0 is padding and not read.
        decay: strength, at least 0; times the learning rate at most 1.

    Raises:
        ValueError: no optimizer updates the table.

    Example:
        >>> table = torch.nn.Parameter(torch.ones(3, 2))  # row 0 is padding
        >>> optimizer = torch.optim.SGD([table], lr=0.1)
        >>> decay = RareItemDecay([optimizer], table, torch.tensor([0, 0, 4]), decay=5.0)
        >>> table.grad = torch.zeros(3, 2)
        >>> optimizer.step()
        >>> table[:, 0].tolist()  # factors 1, 1 - 0.5 / 1 and 1 - 0.5 / 5
        [1.0, 0.5, 0.8999999761581421]
    """

    def __init__(self, optimizers: Iterable[Any], table: Tensor, counts: Tensor, decay: float):
        self._table = table
        self._strength = (decay / (counts[1:].double() + 1)).to(table).unsqueeze(1)
        parts = [part for optimizer in optimizers for part in getattr(optimizer, "parts", [optimizer])]
        self._group = -1  # number of the table's parameter group in its optimizer
        for part in parts:
            for number, group in enumerate(part.param_groups):
                if any(parameter is table for parameter in group["params"]):
                    self._group = number
                    part.register_step_post_hook(self._after_step)
        if self._group < 0:
            raise ValueError("no optimizer updates the item id table")

    @torch.no_grad()
    def _after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        learning_rate = optimizer.param_groups[self._group]["lr"]
        self._table[1 : len(self._strength) + 1].mul_(1 - learning_rate * self._strength)
