"""Cross entropy of sequential models over the catalogue: in blocks or against sampled items, at one position or at all.

RecBole's models write out their scores of the whole catalogue for every sample. The mixins here stand in front of models
whose score of an item is the product of ``forward``'s output with the item's embedding, and compute the same loss from
the two.
"""

from contextlib import contextmanager
from typing import Iterator, Optional, Tuple

import torch
from torch import Tensor

from recbole_sda.errors import InputError, nearest
from recbole_sda.losses.full_softmax import full_softmax_cross_entropy
from recbole_sda.losses.sampled_softmax import ItemSampler, sampled_cross_entropy

PROPOSALS = ("uniform", "popularity")


def item_sampler(config, dataset) -> Optional[ItemSampler]:
    """Return the sampler that ``softmax_negatives`` asks for, or None for cross entropy over all items.

    Raises:
        InputError: a key has a wrong value or does not go with another one.
    """
    k, proposal = config["softmax_negatives"], config["softmax_proposal"]
    if k is None:
        return None
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise InputError(f"softmax_negatives={k!r}: expected a whole number from 1 on, or nothing for all items")
    if proposal not in PROPOSALS:
        allowed = ", ".join(PROPOSALS)
        raise InputError(f"softmax_proposal={proposal!r}: allowed are {allowed}.{nearest(str(proposal), PROPOSALS)}")
    if config["loss_type"] != "CE":
        raise InputError(f"softmax_negatives={k} needs loss_type CE, not {config['loss_type']}")
    counts = None
    if proposal == "popularity":
        counts = torch.bincount(dataset.inter_feat[dataset.iid_field], minlength=dataset.item_num)
    return ItemSampler(dataset.item_num, k, counts)


def popularity_prior(config, dataset) -> Optional[Tensor]:
    """Return what ``popularity_adjustment`` adds to the scores in training, (n_items, 1), or None.

    ``tau * log((n + 1) / sum(n + 1))`` for an item with n training interactions: with tau 1 a score need not say how popular an
    item is, since the prior does, and without the prior in evaluation seldom bought items are no longer outranked for being
    seldom bought (logit adjustment, Menon et al. 2021).
    """
    tau = config["popularity_adjustment"]
    if not isinstance(tau, (int, float)) or isinstance(tau, bool) or not 0 <= tau <= 1:
        raise InputError(f"popularity_adjustment={tau!r}: expected a number from 0 to 1")
    if tau == 0:
        return None
    if config["loss_type"] != "CE":
        raise InputError(f"popularity_adjustment={tau} needs loss_type CE, not {config['loss_type']}")
    weights = torch.from_numpy(dataset.training_counts.items).double() + 1
    return (tau * (weights / weights[1:].sum()).log()).float().unsqueeze(1)


class SoftmaxLoss:
    """Mixin in front of a model whose cross entropy is ``softmax(forward(items, lengths) @ item_embedding.weight.T)``.

    With ``fast_sequences`` the loss over all items is computed in blocks; with ``softmax_negatives`` against sampled
    items, and then the step touches the embeddings of the batch's items and of the drawn ones alone. Otherwise, and
    with another ``loss_type``, the loss is the model's own.

    Attributes:
        item_fields: names of the attributes that name the batch's fields of item ids.
    """

    item_fields: Tuple[str, ...] = ("ITEM_SEQ", "POS_ITEM_ID")

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self._blocked = bool(config["fast_sequences"])
        self.sampler = item_sampler(config, dataset)
        if self.sampler is not None:
            self.item_embedding.sparse = True
        self.register_buffer("prior", popularity_prior(config, dataset), persistent=False)

    def calculate_loss(self, interaction):
        if self.loss_type != "CE" or not (self._blocked or self.sampler or self.prior is not None):
            return super().calculate_loss(interaction)
        if self.sampler is None:
            hidden, targets = self._training_outputs(interaction)
            return full_softmax_cross_entropy(hidden, self._training_table(), targets)
        drawn = self.sampler.draw(interaction[self.ITEM_ID].device)
        if hasattr(self.item_embedding, "encode_only"):
            fields = [interaction[getattr(self, name)].flatten() for name in self.item_fields]
            self.item_embedding.encode_only(torch.cat([*fields, drawn]))
        hidden, targets = self._training_outputs(interaction)
        return sampled_cross_entropy(
            hidden,
            self._training_table(targets),
            self._training_table(drawn),
            targets,
            drawn,
            self.sampler.log_expected(drawn),
        )

    def _training_outputs(self, interaction) -> Tuple[Tensor, Tensor]:
        hidden, targets = self._outputs(interaction)
        if self.prior is not None:
            hidden = torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1)
        return hidden, targets

    def _training_table(self, items: Optional[Tensor] = None) -> Tensor:
        """Return the output table with the prior as a further column, which meets the outputs' ones."""
        table = self._output_table(items)
        if self.prior is None:
            return table
        return torch.cat([table, self.prior if items is None else self.prior[items]], dim=1)

    def _outputs(self, interaction) -> Tuple[Tensor, Tensor]:
        """Return the outputs at the positions that have a target, (n_targets, dim), and the targets."""
        return self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]), interaction[self.POS_ITEM_ID]

    def _output_table(self, items: Optional[Tensor] = None) -> Tensor:
        """Return what outputs are multiplied with: the rows of ``items``, or the whole table."""
        return self.item_embedding.weight if items is None else self.item_embedding(items)


class PackedSoftmaxLoss(SoftmaxLoss):
    """The same for a causal model whose ``forward`` ends with ``gather_indexes``, with a target at every position.

    A batch whose targets are a matrix (batch, seq_len), 0 where there is none, is packed (see
    :mod:`recbole_sda.data.packing`): one forward gives the outputs at all positions.
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

    def _outputs(self, interaction) -> Tuple[Tensor, Tensor]:
        targets = interaction[self.POS_ITEM_ID]
        if targets.dim() == 1:
            return super()._outputs(interaction)
        with self._at_every_position():
            hidden = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        wanted = targets > 0
        return hidden[wanted], targets[wanted]


class MaskedSoftmaxLoss(SoftmaxLoss):
    """The same for BERT4Rec: outputs at the masked positions, and a bias for each item.

    RecBole scores the catalogue for the largest number of masks that a sequence can have; here only masks count. As in
    RecBole, a mask at a sequence's first position is no target: its index, 0, also says that there is none.
    """

    item_fields = ("MASK_ITEM_SEQ", "POS_ITEMS", "ITEM_ID")

    def _outputs(self, interaction) -> Tuple[Tensor, Tensor]:
        index = interaction[self.MASK_INDEX]
        row, slot = (index > 0).nonzero(as_tuple=True)
        hidden = self.forward(interaction[self.MASK_ITEM_SEQ])[row, index[row, slot]]
        return torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1), interaction[self.POS_ITEMS][row, slot]

    def _output_table(self, items: Optional[Tensor] = None) -> Tensor:
        if items is None:
            rows, bias = self.item_embedding.weight[: self.n_items], self.output_bias
        else:
            rows, bias = self.item_embedding(items), self.output_bias[items]
        return torch.cat([rows, bias.unsqueeze(1)], dim=1)


MIXINS = {"product": SoftmaxLoss, "packed": PackedSoftmaxLoss, "masked": MaskedSoftmaxLoss}
