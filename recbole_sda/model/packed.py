"""Training of causal sequential models on packed sequences: one forward per user, a target at every position."""

from contextlib import contextmanager
from typing import Iterator

from torch import Tensor

from recbole_sda.losses.catalogue import catalogue_cross_entropy


class PackedTraining:
    """Mixin in front of a causal RecBole model whose ``forward`` ends with ``gather_indexes``.

    A batch whose targets are a matrix (batch, seq_len), 0 where there is none, is packed (see
    :mod:`recbole_sda.sequences`); its loss is the mean cross entropy over all targets. Any other batch is RecBole's and
    goes to the model as it is.
    """

    _every_position = False

    @contextmanager
    def _at_every_position(self) -> Iterator[None]:
        self._every_position = True
        try:
            yield
        finally:
            self._every_position = False

    def gather_indexes(self, output: Tensor, gather_index: Tensor) -> Tensor:
        return output if self._every_position else super().gather_indexes(output, gather_index)

    def calculate_loss(self, interaction):
        targets = interaction[self.POS_ITEM_ID]
        if targets.dim() == 1:
            return super().calculate_loss(interaction)
        with self._at_every_position():
            hidden = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        wanted = targets > 0
        return catalogue_cross_entropy(hidden[wanted], self.item_embedding.weight, targets[wanted])
