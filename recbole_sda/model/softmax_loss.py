"""Softmax cross entropy of sequential models over all items: in blocks or against sampled items, at one position or at all.

RecBole's models write out the scores of all items for every sample. The mixins here precede models whose score of an item is the
product of ``forward``'s output with the item's embedding, and compute the same loss from outputs and embeddings.
"""

from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional, Tuple

import torch
from torch import Tensor

from recbole_sda.layers.normalize import normalize_rows
from recbole_sda.losses.full_softmax import Excluded, full_softmax_cross_entropy, history_pairs
from recbole_sda.losses.sampled_softmax import sampled_cross_entropy
from recbole_sda.losses.soft_targets import SoftTargets
from recbole_sda.model.mixin_base import Loss, SequentialRecommender
from recbole_sda.model.softmax_settings import item_sampler, logit_temperature, training_prior

DENSE_ITEMS = 100_000  # up to here, an update of all rows is as fast as one of the rows of a step


class SoftmaxLoss(SequentialRecommender):
    """Mixin that precedes a model whose loss is cross entropy of ``forward(items, lengths) @ item_embedding.weight.T``.

    With ``fast_sequences`` the loss over all items is computed in blocks. With ``softmax_negatives`` it is computed against
    sampled items: a step reads only the embeddings of the batch's items and of the sampled ones, and with ``sparse_updates`` it
    updates no others. With ``train_mask_history`` the items that the model sees as the user's history take no part in the softmax.
    With ``logit_temperature`` a score is the cosine of output and item embedding, divided by the temperature, in training and
    evaluation. Without any of these, and with another ``loss_type``, loss and scores are the model's own.

    Attributes:
        item_fields: names of the attributes that name the batch's fields of item ids.
        target_field: the one of them that holds the targets.
        sampler: draws the sampled items; None for the loss over all items.
        prior: added to the scores in training, (n_items, 1); None without ``popularity_adjustment`` and without items that do not
            exist in training.
        temperature: of cosine scores; None for inner products.
    """

    item_fields: Tuple[str, ...] = ("ITEM_SEQ", "POS_ITEM_ID")
    target_field = "POS_ITEM_ID"
    prior: Optional[Tensor]

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.sampler = item_sampler(config, dataset)
        self.temperature = logit_temperature(config)
        self.masks_history = bool(config["train_mask_history"])
        if self.sampler is not None:
            sparse = config["sparse_updates"]
            self.item_embedding.sparse = dataset.item_num > DENSE_ITEMS if sparse == "auto" else sparse
        self.register_buffer("prior", training_prior(config, dataset), persistent=False)
        self.soft_targets: Optional[SoftTargets] = None
        changed = self.sampler or self.temperature or self.masks_history or self.prior is not None
        self._is_softmax, self._is_changed = config["loss_type"] == "CE", bool(config["fast_sequences"] or changed)

    @property
    def computes_softmax(self) -> bool:
        """Whether the loss is computed here, not by the model itself."""
        return self._is_softmax and (self._is_changed or self.soft_targets is not None)

    def calculate_loss(self, interaction: Any) -> Loss:
        if not self.computes_softmax:
            return super().calculate_loss(interaction)
        sampled = self._draw(interaction)
        hidden, targets, excluded = self._training_outputs(interaction)
        if self.sampler is None or sampled is None:
            table = self._training_table(fixed=self._fixes_negatives)
            loss = full_softmax_cross_entropy(hidden, table, targets, excluded=excluded)
            if self._fixes_negatives:  # zero, with the gradient of the targets' scores for the encoder
                no_value = self._training_table(targets) - table[targets]
                loss = loss - (hidden * no_value).sum() / max(len(targets), 1)
        else:
            positives, negatives = self._training_table(targets), self._training_table(sampled, self._fixes_negatives)
            log_expected = self.sampler.log_expected(sampled)
            loss = sampled_cross_entropy(hidden, positives, negatives, targets, sampled, log_expected, excluded)
        if self.soft_targets is not None:
            loss = loss + self.soft_targets(hidden, targets, self._training_table, excluded, sampled is not None)
        return loss

    def _draw(self, interaction: Any) -> Optional[Tensor]:
        """Draw the sampled items of a step, (k,), and encode the items that it needs; None for the loss over all items."""
        if self.sampler is None:
            return None
        sampled = self.sampler.draw(interaction[self.ITEM_ID].device)
        needed = [interaction[getattr(self, name)].flatten() for name in self.item_fields]
        if self.soft_targets is not None:
            needed.append(self.soft_targets.draw(interaction[getattr(self, self.target_field)]))
        if hasattr(self.item_embedding, "encode_only"):
            self.item_embedding.encode_only(torch.cat([*needed, sampled]))
        return sampled

    def predict(self, interaction: Any) -> Tensor:
        if self.temperature is None:
            return super().predict(interaction)
        items = interaction[self.ITEM_ID]
        scores = (self.query_vectors(interaction) * self._table(items)).sum(dim=1)
        bias = self._bias(items)
        return scores if bias is None else scores + bias

    def full_sort_predict(self, interaction: Any) -> Tensor:
        if self.temperature is None:
            return super().full_sort_predict(interaction)
        scores, bias = self.query_vectors(interaction) @ self._table().T, self._bias()
        return scores if bias is None else scores + bias

    def query_vectors(self, interaction: Any) -> Tensor:
        """Return what the items' embeddings are multiplied with, (batch, dim): ``full_sort_predict`` without its last product."""
        return self._scaled(self._last_output(interaction))

    def _scaled(self, hidden: Tensor) -> Tensor:
        """Return outputs, (n, dim), as they enter the product with :meth:`_table`."""
        return hidden if self.temperature is None else normalize_rows(hidden) / self.temperature

    @property
    def _fixes_negatives(self) -> bool:
        """Whether the gradient of the scores of other items than the target stops before the item encoder."""
        return getattr(self.item_embedding, "fixed_negatives", False)

    def _table(self, items: Optional[Tensor] = None, fixed: bool = False) -> Tensor:
        """Return the embeddings of ``items`` (n,), or of all items, as they enter the product with the outputs.

        ``fixed``: their gradient does not reach the item encoder.
        """
        embeddings = self._embeddings(items, fixed)
        return embeddings if self.temperature is None else normalize_rows(embeddings)

    def _training_outputs(self, interaction: Any) -> Tuple[Tensor, Tensor, Optional[Excluded]]:
        """Return outputs (n_targets, columns), targets (n_targets,), and the pairs that take no part in the softmax.

        With a bias or a prior, outputs end with a column of ones, which multiplies the last column of :meth:`_training_table`.
        """
        hidden, targets, histories = self._outputs(interaction)
        excluded = history_pairs(histories(), targets) if self.masks_history else None
        hidden = self._scaled(hidden)
        if self._offsets() is not None:
            hidden = torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1)
        return hidden, targets, excluded

    def _training_table(self, items: Optional[Tensor] = None, fixed: bool = False) -> Tensor:
        """Return :meth:`_table` of ``items`` or of all items, with bias and prior, if any, as the last column."""
        table, offsets = self._table(items, fixed), self._offsets(items)
        return table if offsets is None else torch.cat([table, offsets], dim=1)

    def _offsets(self, items: Optional[Tensor] = None) -> Optional[Tensor]:
        """Return what is added to the scores of items in training, (n, 1), or None."""
        if self.prior is None:
            return None
        return self.prior if items is None else self.prior[items]

    def _bias(self, items: Optional[Tensor] = None) -> Optional[Tensor]:
        """Return the bias of ``items`` (n,), or of all items; None for a model without one."""
        return None

    def _outputs(self, interaction: Any) -> Tuple[Tensor, Tensor, Callable[[], Tensor]]:
        """Return the outputs at the positions that have a target, (n_targets, dim), the targets, (n_targets,), and a function
        that gives the history of each target, (n_targets, length), 0 where there is none."""
        items = interaction[self.ITEM_SEQ]
        return self.forward(items, interaction[self.ITEM_SEQ_LEN]), interaction[self.POS_ITEM_ID], lambda: items

    def _last_output(self, interaction: Any) -> Tensor:
        """Return the output from which the next item is predicted, (batch, dim)."""
        return self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])

    def _embeddings(self, items: Optional[Tensor] = None, fixed: bool = False) -> Tensor:
        """Return the factors of the outputs, (n, dim): the rows of ``items`` (n,), or the whole table."""
        if fixed:
            return self.item_embedding.fixed(items)
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

    def _outputs(self, interaction: Any) -> Tuple[Tensor, Tensor, Callable[[], Tensor]]:
        targets, items = interaction[self.POS_ITEM_ID], interaction[self.ITEM_SEQ]
        if targets.dim() == 1:
            return super()._outputs(interaction)
        with self._at_every_position():
            hidden = self.forward(items, interaction[self.ITEM_SEQ_LEN])
        has_target = targets > 0

        def histories() -> Tensor:
            sequence, position = has_target.nonzero(as_tuple=True)
            seen = torch.arange(items.shape[1], device=items.device) <= position.unsqueeze(1)
            return items[sequence] * seen

        return hidden[has_target], targets[has_target], histories


class MaskedSoftmaxLoss(SoftmaxLoss):
    """:class:`SoftmaxLoss` of BERT4Rec: outputs at the masked positions, and a bias for each item.

    RecBole scores all items for the largest number of masks that a sequence can have; here only real masks count. As in RecBole,
    a mask at a sequence's first position is not a target: its index, 0, also marks an unused entry. The history of a mask is the
    rest of the sequence, on both sides.
    """

    item_fields = ("MASK_ITEM_SEQ", "POS_ITEMS", "ITEM_ID")
    target_field = "POS_ITEMS"
    MASK_INDEX: str
    MASK_ITEM_SEQ: str
    POS_ITEMS: str
    mask_token: int
    output_bias: Tensor

    def _outputs(self, interaction: Any) -> Tuple[Tensor, Tensor, Callable[[], Tensor]]:
        index, items = interaction[self.MASK_INDEX], interaction[self.MASK_ITEM_SEQ]
        masked_items = interaction[self.POS_ITEMS]
        sample, mask = (index > 0).nonzero(as_tuple=True)
        hidden = self.forward(items)[sample, index[sample, mask]]

        def histories() -> Tensor:
            visible = items.masked_fill(items >= self.n_items, 0)  # without the mask token
            return torch.cat([visible, masked_items], dim=1)[sample]

        return hidden, masked_items[sample, mask], histories

    def reconstruct_test_data(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """Return sequences without their first position and with the mask token after their last item, as RecBole does.

        RecBole sets one token after the other in Python.
        """
        position = torch.arange(1, item_seq.shape[1] + 1, device=item_seq.device)
        items = torch.cat([item_seq[:, 1:], torch.zeros_like(item_seq[:, :1])], dim=1)
        return torch.where(position == item_seq_len.unsqueeze(1), self.mask_token, items)

    def _last_output(self, interaction: Any) -> Tensor:
        length = interaction[self.ITEM_SEQ_LEN]
        items = self.reconstruct_test_data(interaction[self.ITEM_SEQ], length)
        return self.gather_indexes(self.forward(items), length - 1)

    def _embeddings(self, items: Optional[Tensor] = None, fixed: bool = False) -> Tensor:
        embeddings = super()._embeddings(items, fixed)
        return embeddings[: self.n_items] if items is None else embeddings

    def _bias(self, items: Optional[Tensor] = None) -> Tensor:
        return self.output_bias if items is None else self.output_bias[items]

    def _offsets(self, items: Optional[Tensor] = None) -> Optional[Tensor]:
        bias, prior = self._bias(items).unsqueeze(1), super()._offsets(items)
        return bias if prior is None else bias + prior


MIXINS = {"product": SoftmaxLoss, "packed": PackedSoftmaxLoss, "masked": MaskedSoftmaxLoss}
