"""SDA versions of the models that have a learned bias per item: BERT4Rec and TransRec."""

from contextlib import contextmanager
from typing import Any, Iterator

import torch
from torch import Tensor, nn

from recbole_sda.model.sda import SDA


class BiasedSDA(SDA):
    """:class:`SDA` in which items whose rows come from content have the weighted mean bias of their neighbours.

    Attributes:
        bias_attribute: name of the attribute that holds the bias, a table (n_items, 1) or a vector (n_items,). Set by the registry.
    """

    bias_attribute: str

    def predict(self, interaction: Any) -> Tensor:
        with self._completed_bias():
            return super().predict(interaction)

    def full_sort_predict(self, interaction: Any) -> Tensor:
        with self._completed_bias():
            return super().full_sort_predict(interaction)

    @contextmanager
    def _completed_bias(self) -> Iterator[None]:
        """Context manager in which the bias has the model's completions."""
        if not self.completions:
            yield
            return
        trained = {"n_items": self.n_items, self.bias_attribute: getattr(self, self.bias_attribute)}
        own = trained[self.bias_attribute]
        is_table = isinstance(own, nn.Embedding)
        bias = (own.weight if is_table else own.unsqueeze(1)).detach()
        for completion in self.completions:
            bias = completion.bias(bias)
        if len(bias) > self.n_items:  # new items follow all rows of the table, some of which are no items
            gap = bias.new_zeros(self.items.num_embeddings - self.n_items, 1)
            bias = torch.cat([bias[: self.n_items], gap, bias[self.n_items :]])
        try:
            self.n_items = len(bias)
            longer = nn.Embedding.from_pretrained(bias) if is_table else nn.Parameter(bias.squeeze(1), False)
            setattr(self, self.bias_attribute, longer)
            yield
        finally:
            for name, value in trained.items():
                setattr(self, name, value)
