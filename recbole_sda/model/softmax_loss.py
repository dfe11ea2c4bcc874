"""Softmax cross entropy of sequential models over all items: in blocks or against sampled items, at one position or at all.

RecBole's models write out the scores of all items for every sample. The mixins here precede models whose score of an item is the
product of ``forward``'s output with the item's embedding, and compute the same loss from outputs and embeddings.
"""

from contextlib import contextmanager
from typing import Any, Iterator, Optional, Tuple

import torch
from torch import Tensor

from recbole_sda.errors import InputError, nearest
from recbole_sda.losses.full_softmax import full_softmax_cross_entropy
from recbole_sda.losses.sampled_softmax import ItemSampler, sampled_cross_entropy
from recbole_sda.model.mixin_base import Loss, SequentialRecommender

PROPOSALS = ("uniform", "popularity")


def item_sampler(config: Any, dataset: Any) -> Optional[ItemSampler]:
    """Return the sampler of ``softmax_negatives`` items per step, or None where the loss is over all items.

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


def popularity_prior(config: Any, dataset: Any) -> Optional[Tensor]:
    """Return what ``popularity_adjustment`` adds to the scores in training, (n_items, 1), or None where it is 0.

    ``tau * log((n + 1) / sum(n + 1))`` for an item with n training interactions (logit adjustment, Menon et al. 2021). With tau 1
    the prior accounts for an item's popularity, so that its score need not. Evaluation leaves the prior out, so that items with
    few interactions no longer rank low for that reason alone.

    Raises:
        InputError: ``popularity_adjustment`` is no number from 0 to 1, or ``loss_type`` is not CE.
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


class SoftmaxLoss(SequentialRecommender):
    """Mixin that precedes a model whose loss is cross entropy of ``forward(items, lengths) @ item_embedding.weight.T``.

    With ``fast_sequences`` the loss over all items is computed in blocks. With ``softmax_negatives`` it is computed against
    sampled items, and a step reads and updates only the embeddings of the batch's items and of the sampled ones. Otherwise, and
    with another ``loss_type``, the loss is the model's own.

    Attributes:
        item_fields: names of the attributes that name the batch's fields of item ids.
        sampler: draws the sampled items; None for the loss over all items.
        prior: added to the scores in training, (n_items, 1); None without ``popularity_adjustment``.
    """

    item_fields: Tuple[str, ...] = ("ITEM_SEQ", "POS_ITEM_ID")
    prior: Optional[Tensor]

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self._blocked = bool(config["fast_sequences"])
        self.sampler = item_sampler(config, dataset)
        if self.sampler is not None:
            self.item_embedding.sparse = True
        self.register_buffer("prior", popularity_prior(config, dataset), persistent=False)

    def calculate_loss(self, interaction: Any) -> Loss:
        """Return the cross entropy of a batch, a scalar, or the model's own loss where nothing changes its computation."""
        if self.loss_type != "CE" or not (self._blocked or self.sampler or self.prior is not None):
            return super().calculate_loss(interaction)
        if self.sampler is None:
            hidden, targets = self._training_outputs(interaction)
            return full_softmax_cross_entropy(hidden, self._training_table(), targets)
        sampled = self.sampler.draw(interaction[self.ITEM_ID].device)
        if hasattr(self.item_embedding, "encode_only"):
            fields = [interaction[getattr(self, name)].flatten() for name in self.item_fields]
            self.item_embedding.encode_only(torch.cat([*fields, sampled]))
        hidden, targets = self._training_outputs(interaction)
        return sampled_cross_entropy(
            hidden,
            self._training_table(targets),
            self._training_table(sampled),
            targets,
            sampled,
            self.sampler.log_expected(sampled),
        )

    def _training_outputs(self, interaction: Any) -> Tuple[Tensor, Tensor]:
        """Return outputs and targets; with a prior, outputs end with a column of ones, which multiplies the table's prior."""
        hidden, targets = self._outputs(interaction)
        if self.prior is not None:
            hidden = torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1)
        return hidden, targets

    def _training_table(self, items: Optional[Tensor] = None) -> Tensor:
        """Return the output table of ``items`` or of all items, with the prior, if any, as its last column."""
        table = self._output_table(items)
        if self.prior is None:
            return table
        return torch.cat([table, self.prior if items is None else self.prior[items]], dim=1)

    def _outputs(self, interaction: Any) -> Tuple[Tensor, Tensor]:
        """Return the outputs at the positions that have a target, (n_targets, dim), and the targets, (n_targets,)."""
        return self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]), interaction[self.POS_ITEM_ID]

    def _output_table(self, items: Optional[Tensor] = None) -> Tensor:
        """Return the factors of the outputs, (n, dim): the rows of ``items`` (n,), or the whole table."""
        return self.item_embedding.weight if items is None else self.item_embedding(items)


class PackedSoftmaxLoss(SoftmaxLoss):
    """:class:`SoftmaxLoss` of a causal model whose ``forward`` ends with ``gather_indexes``, with a target at every position.

    A batch whose targets are a matrix (batch, seq_len), 0 at positions without a target, is packed (see
    :mod:`recbole_sda.data.packing`): one call of ``forward`` gives the outputs at all positions.
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
        """Return the outputs at ``gather_index``, or at all positions where the loss has a target at each."""
        return output if self._every_position else super().gather_indexes(output, gather_index)

    def _outputs(self, interaction: Any) -> Tuple[Tensor, Tensor]:
        targets = interaction[self.POS_ITEM_ID]
        if targets.dim() == 1:
            return super()._outputs(interaction)
        with self._at_every_position():
            hidden = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        has_target = targets > 0
        return hidden[has_target], targets[has_target]


class MaskedSoftmaxLoss(SoftmaxLoss):
    """:class:`SoftmaxLoss` of BERT4Rec: outputs at the masked positions, and a bias for each item.

    RecBole scores all items for the largest number of masks that a sequence can have; here only real masks count. As in RecBole,
    a mask at a sequence's first position is not a target: its index, 0, also marks an unused entry.
    """

    item_fields = ("MASK_ITEM_SEQ", "POS_ITEMS", "ITEM_ID")
    MASK_INDEX: str
    MASK_ITEM_SEQ: str
    POS_ITEMS: str
    output_bias: Tensor

    def _outputs(self, interaction: Any) -> Tuple[Tensor, Tensor]:
        index = interaction[self.MASK_INDEX]
        sample, mask = (index > 0).nonzero(as_tuple=True)
        hidden = self.forward(interaction[self.MASK_ITEM_SEQ])[sample, index[sample, mask]]
        return torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1), interaction[self.POS_ITEMS][sample, mask]

    def _output_table(self, items: Optional[Tensor] = None) -> Tensor:
        if items is None:
            embeddings, bias = self.item_embedding.weight[: self.n_items], self.output_bias
        else:
            embeddings, bias = self.item_embedding(items), self.output_bias[items]
        return torch.cat([embeddings, bias.unsqueeze(1)], dim=1)


MIXINS = {"product": SoftmaxLoss, "packed": PackedSoftmaxLoss, "masked": MaskedSoftmaxLoss}
