"""An item encoder behind the two uses that RecBole models make of ``nn.Embedding``: a call with ids, and ``.weight``."""

from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Self, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.layers.content_rows import Completion
from recbole_sda.layers.id_rows import IdRows
from recbole_sda.layers.item_encoder import ItemEncoder


class EncodedItems(NamedTuple):
    """Item embeddings of all ids, or of the ids that a step needs.

    Attributes:
        table: item embeddings, (n_rows, dim); row 0 is padding.
        modalities: modality embeddings before fusion, (n_modalities, n_rows - n_extra, dim), without the extra rows after the
            items; row 0 is padding and zero. None without an encoder, and in evaluation, where only the table is stored.
        ids: the item id of each row, ascending, (n_rows,); None for a table of all ids.
        fixed: the table without a gradient to the encoder, (n_rows, dim); None where it is not asked for.
    """

    table: Tensor
    modalities: Optional[Tensor]
    ids: Optional[Tensor] = None
    fixed: Optional[Tensor] = None


class EncodedItemEmbedding(nn.Module):
    """A table of item embeddings whose rows are computed from modality features.

    Inside ``with embedding.step():`` (a training step), and in evaluation without gradients, all items are encoded once and the
    result is reused. ``train()``, ``load_state_dict`` and a change of device or dtype discard it. A step that needs few items
    can call ``encode_only(ids)``: no other item is encoded.

    Args:
        base: the table that is replaced. Its rows from ``n_items`` on (a mask token, for example) remain learned rows.
        n_items: number of items including the padding item 0.
        encoder: the item encoder; None uses ``base`` unchanged.
        features: one matrix (n_items, d_m) per modality, float32; row 0 is padding and never read.
        present: (n_modalities, n_items), bool; False where an item lacks a modality. Required with an encoder.
        add_ids: whether the rows of ``base`` are added to the encoded features. Without them, an item that does not occur in
            training still has a meaningful embedding, and the padding row is zero.
        id_dropout: probability of leaving out an item's row of ``base`` in a training step, in [0, 1). As in dropout, the other
            rows are scaled up.
        fixed_negatives: whether :meth:`fixed` is available in training.
        id_rows: how counts and content weight, bound, share or smooth the rows of ``base``; None: not at all.

    Attributes:
        completions: rows that the table has in evaluation alone, see :class:`~recbole_sda.layers.content_rows.Completion`.

    Example:
        >>> import torch
        >>> from recbole_sda.layers.item_encoder import MoDAItemEncoder
        >>> features = [torch.randn(6, 16), torch.randn(6, 8)]  # image and text features of five items; row 0 is padding
        >>> items = EncodedItemEmbedding(
        ...     torch.nn.Embedding(6, 4, padding_idx=0),
        ...     n_items=6,
        ...     encoder=MoDAItemEncoder(dims=[16, 8], out_dim=4),
        ...     features=features,
        ...     present=torch.ones(2, 6, dtype=torch.bool),
        ... )
        >>> items(torch.tensor([[1, 2], [5, 0]])).shape  # as nn.Embedding
        torch.Size([2, 2, 4])
        >>> with items.step():  # a training step that needs two items
        ...     items.encode_only(torch.tensor([2, 5]))
        ...     items.modalities(torch.tensor([5])).shape
        torch.Size([2, 1, 4])
    """

    present: Tensor  # None without an encoder
    not_in_checkpoints = frozenset({"_cache", "_row_of"})  # computed anew for each step

    def __init__(
        self,
        base: nn.Embedding,
        n_items: int,
        encoder: Optional[ItemEncoder] = None,
        features: Sequence[Tensor] = (),
        present: Optional[Tensor] = None,
        add_ids: bool = True,
        id_dropout: float = 0.0,
        id_rows: Optional[IdRows] = None,
        fixed_negatives: bool = False,
    ):
        super().__init__()
        self.num_embeddings, self.embedding_dim = base.num_embeddings, base.embedding_dim
        self.padding_idx, self.n_items = base.padding_idx, n_items
        self.encoder = encoder
        keep_ids = add_ids or encoder is None
        self.ids: Optional[nn.Embedding] = base if keep_ids else None
        self.id_dropout = nn.Dropout(id_dropout)
        self.id_rows = id_rows
        self.fixed_negatives = fixed_negatives
        self.extra: Optional[nn.Parameter] = None
        if not keep_ids and self.num_embeddings > n_items:
            self.extra = nn.Parameter(base.weight[n_items:].detach().clone())
        self.n_modalities = len(features)
        for m, matrix in enumerate(features):
            self.register_buffer(f"features_{m}", matrix[1:].contiguous(), persistent=False)
        self.register_buffer("present", None if present is None else present[:, 1:].contiguous(), persistent=False)
        self.completions: List[Completion] = []
        self._cache: Optional[EncodedItems] = None
        self._row_of = torch.empty(0, dtype=torch.int64)  # set by encode_only: row of each id, out of range for others
        self._in_step = False

    @property
    def is_plain(self) -> bool:
        """Whether the module is the base table itself: nothing is encoded."""
        return self.encoder is None and self.id_rows is None

    @property
    def features(self) -> List[Tensor]:
        """The feature matrices without the padding row, each (n_items - 1, d_m)."""
        return [getattr(self, f"features_{m}") for m in range(self.n_modalities)]

    def frozen_features(self, ids: Tensor) -> Tuple[List[Tensor], Tensor]:
        """Return the features of item ids (n,), each (n, d_m), and which are present, (n_modalities, n)."""
        return [matrix[ids - 1] for matrix in self.features], self.present[:, ids - 1]

    def _encode(self, ids: Optional[Tensor] = None) -> EncodedItems:
        """Encode all items, or ``ids``: distinct, ascending, with the padding item first and all extra rows last."""
        if self.encoder is None:
            own = self._id_rows(ids)
            return EncodedItems(own if ids is not None else self._completed(own, own), None, ids)
        features, present = self.features, self.present
        n_extra = self.num_embeddings - self.n_items
        if ids is not None:
            rows = ids[1 : len(ids) - n_extra] - 1
            features, present = [matrix[rows] for matrix in features], present[:, rows]
        modalities, encoded = self.encoder(features, present)
        if self.ids is not None:
            own = self._used_id_rows(ids)
        else:
            own = encoded.new_zeros(len(encoded) + 1, self.embedding_dim)
            own = own if self.extra is None else torch.cat([own, self.extra])
        encoded = F.pad(encoded, (0, 0, 1, n_extra))
        fixed = own + encoded.detach() if self.fixed_negatives and self.training else None
        table = own + encoded if ids is not None else self._completed(own + encoded, own)
        return EncodedItems(table, F.pad(modalities, (0, 0, 1, 0)), ids, fixed)

    def _completed(self, table: Tensor, own: Tensor) -> Tensor:
        """Return the whole table with its completions, in evaluation; ``own`` is the part of it that is not encoded."""
        for completion in () if self.training else self.completions:
            table = completion.table(table, own)
        return table

    def _id_rows(self, ids: Optional[Tensor]) -> Tensor:
        assert self.ids is not None  # both callers have an id table
        if self.id_rows is not None:
            return self.id_rows(self.ids, ids)
        return self.ids.weight if ids is None else self.ids(ids)

    def _used_id_rows(self, ids: Optional[Tensor]) -> Tensor:
        """Return the rows of the id table as they enter the sum with the encoded features."""
        rows = self._id_rows(ids)
        if self.training and self.id_dropout.p > 0:
            factors = self.id_dropout(torch.ones_like(rows[:, :1]))
            row_ids = torch.arange(len(rows), device=rows.device) if ids is None else ids
            is_item = (row_ids > 0) & (row_ids < self.n_items)
            rows = rows * torch.where(is_item.unsqueeze(1), factors, 1.0)
        return rows

    def encoded(self) -> EncodedItems:
        """Return the encoded items: the stored result if there is one, else a new encoding of all items."""
        if self._cache is not None:
            return self._cache
        items = self._encode()
        if self._in_step:
            self._cache = items
        elif not self.training and not torch.is_grad_enabled():
            self._cache = EncodedItems(items.table, None)  # evaluation does not use the modality embeddings
        return items

    @contextmanager
    def step(self) -> Iterator[None]:
        """Context manager of one training step: all items are encoded at most once, and the result is discarded at the end."""
        self.forget()
        self._in_step = True
        try:
            yield
        finally:
            self._in_step = False
            self.forget()

    def encoder_weights(self) -> List[nn.Parameter]:
        """Return the weight matrices of the encoder; an empty list without an encoder."""
        return [] if self.encoder is None else self.encoder.matrices()

    def encode_only(self, ids: Tensor) -> None:
        """Encode only the item ids (...), until the end of this step or the next call.

        The cost depends on the number of ids, not on the number of items. Lookup of any other id raises an IndexError; the
        padding item and the extra rows after the items are always available. If the base table is ``sparse``, its gradient
        has only these rows.

        Raises:
            RuntimeError: called outside ``step()``.
        """
        if not self._in_step:
            raise RuntimeError("encode_only() must be called inside step()")
        self.forget()
        always = torch.arange(self.n_items - 1, self.num_embeddings, device=ids.device)
        always[0] = 0  # padding, then the extra rows
        ids = torch.cat([ids.flatten(), always]).unique()
        if len(self._row_of) != self.num_embeddings or self._row_of.device != ids.device:
            self._row_of = torch.full((self.num_embeddings,), self.num_embeddings, device=ids.device)
        self._row_of[ids] = torch.arange(len(ids), device=ids.device)
        self._cache = self._encode(ids)

    def forget(self) -> None:
        """Discard the stored embeddings."""
        if self._cache is not None and self._cache.ids is not None:
            self._row_of[self._cache.ids] = self.num_embeddings
        self._cache = None

    def modalities(self, ids: Tensor) -> Tensor:
        """Return the modality embeddings of item ids (n,) before fusion, (n_modalities, n, dim).

        Raises:
            RuntimeError: there is no encoder, or evaluation has stored the table only.
        """
        items = self.encoded()
        if items.modalities is None:
            raise RuntimeError(
                "no modality embeddings: there is no item encoder, or evaluation stored the item table only"
            )
        return items.modalities[:, self._rows(items, ids)]

    def _rows(self, items: EncodedItems, ids: Tensor) -> Tensor:
        return ids if items.ids is None else self._row_of[ids]

    @property
    def weight(self) -> Tensor:
        """The table of all ids, (num_embeddings, dim).

        Raises:
            RuntimeError: the step has called ``encode_only``, or the encoding fails.
        """
        try:
            items = self.encoded()
        except AttributeError as error:  # inside a property, nn.Module would report it as a missing `weight`
            raise RuntimeError(f"encoding the items failed: {error}") from error
        if items.ids is not None:
            raise RuntimeError("weight is not available after encode_only(): the step has encoded a few items only")
        return items.table

    def fixed(self, ids: Optional[Tensor] = None) -> Tensor:
        """Return the embeddings of item ids (...), or of all ids, whose gradient does not reach the encoder; in training alone."""
        items = self.encoded()
        assert items.fixed is not None  # fixed_negatives, in training
        return items.fixed if ids is None else items.fixed[self._rows(items, ids)]

    def forward(self, ids: Tensor) -> Tensor:
        """Look up item ids (...), int64, and return (..., dim)."""
        items = self.encoded()
        return F.embedding(self._rows(items, ids), items.table, padding_idx=self.padding_idx)

    def train(self, mode: bool = True) -> Self:
        self.forget()
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.forget()
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.forget()
        super()._load_from_state_dict(*args, **kwargs)

    def extra_repr(self) -> str:
        return (
            f"{self.num_embeddings}, {self.embedding_dim}, modalities={self.n_modalities}, ids={self.ids is not None}"
        )
