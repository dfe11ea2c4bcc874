"""An item encoder behind the two ways in which RecBole models use ``nn.Embedding``: a call with ids, and ``.weight``."""

from contextlib import contextmanager
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.layers.item_encoder import ItemEncoder


class EncodedItems(NamedTuple):
    """The encoded catalogue, or those of its rows that a step needs.

    Attributes:
        table: item embeddings, (n_rows, dim); row 0 is padding.
        modalities: modality embeddings before fusion, (n_modalities, n_rows without those beyond the items, dim); None
            without an encoder. Row 0 is padding and holds zeros.
        ids: the item id of each row, ascending, (n_rows,); None where every row is there.
    """

    table: Tensor
    modalities: Optional[Tensor]
    ids: Optional[Tensor] = None


class EncodedItemEmbedding(nn.Module):
    """A table of item embeddings whose rows are computed from modality features.

    Inside ``with embedding.step():`` (a training step), and in evaluation without gradients, the catalogue is encoded
    once and every further use takes the stored result. It is dropped by ``train()``, ``load_state_dict`` and a change
    of device or dtype. A step that needs few items says so with ``encode_only(ids)``: then no other row is encoded.

    Args:
        base: the table that is replaced. Its rows from ``n_items`` on (a mask token, say) stay learned rows.
        n_items: number of items with the padding item 0.
        encoder: None keeps ``base`` as it is (the identity encoder).
        features: one matrix (n_items, d_m) per modality, float32; row 0 is padding and never read.
        present: (n_modalities, n_items), bool; False where an item lacks a modality.
        add_ids: whether ``base`` is kept and added to the encoded features. Without it an item that was never seen in
            training still has a meaningful embedding, and the padding row is zero.
        id_weight: factor of each row of ``base``, (n_items,); None: 1. An item with few interactions has an unreliable id
            embedding, which a small factor holds back in favour of its features.
        id_dropout: share of items whose row of ``base`` is left out in a training step, in [0, 1); the others are
            scaled up, as in dropout.
    """

    def __init__(
        self,
        base: nn.Embedding,
        n_items: int,
        encoder: Optional[ItemEncoder] = None,
        features: Sequence[Tensor] = (),
        present: Optional[Tensor] = None,
        add_ids: bool = True,
        id_weight: Optional[Tensor] = None,
        id_dropout: float = 0.0,
    ):
        super().__init__()
        self.num_embeddings, self.embedding_dim = base.num_embeddings, base.embedding_dim
        self.padding_idx, self.n_items = base.padding_idx, n_items
        self.encoder = encoder
        keep_ids = add_ids or encoder is None
        self.ids = base if keep_ids else None
        self.id_dropout = nn.Dropout(id_dropout)
        if id_weight is not None:
            id_weight = F.pad(id_weight.float(), (0, self.num_embeddings - n_items), value=1.0).unsqueeze(1)
        self.register_buffer("id_weight", id_weight, persistent=False)
        self.extra = None
        if not keep_ids and self.num_embeddings > n_items:
            self.extra = nn.Parameter(base.weight[n_items:].detach().clone())
        self.n_modalities = len(features)
        for m, matrix in enumerate(features):
            self.register_buffer(f"features_{m}", matrix[1:].contiguous(), persistent=False)
        self.register_buffer("present", None if present is None else present[:, 1:].contiguous(), persistent=False)
        self._cache: Optional[EncodedItems] = None
        self._place: Optional[Tensor] = None  # row of each id in a catalogue of few rows
        self._in_step = False

    @property
    def features(self) -> list:
        """The feature matrices without the padding row, each (n_items - 1, d_m)."""
        return [getattr(self, f"features_{m}") for m in range(self.n_modalities)]

    def frozen_rows(self, ids: Tensor) -> Tuple[List[Tensor], Tensor]:
        """Return the features of item ids (n,), each (n, d_m), and which are present, (n_modalities, n)."""
        return [matrix[ids - 1] for matrix in self.features], self.present[:, ids - 1]

    def _encode(self, ids: Optional[Tensor] = None) -> EncodedItems:
        """Encode the catalogue, or ``ids``: distinct, ascending, the padding item first and all extra rows last."""
        if self.encoder is None:
            return EncodedItems(self.ids.weight if ids is None else self.ids(ids), None, ids)
        features, present = self.features, self.present
        n_extra = self.num_embeddings - self.n_items
        if ids is not None:
            rows = ids[1 : len(ids) - n_extra] - 1
            features, present = [matrix[rows] for matrix in features], present[:, rows]
        modalities, encoded = self.encoder(features, present)
        if self.ids is not None:
            table = self._own(ids) + F.pad(encoded, (0, 0, 1, n_extra))
        else:
            parts = [encoded.new_zeros(1, self.embedding_dim), encoded]
            table = torch.cat(parts if self.extra is None else [*parts, self.extra])
        return EncodedItems(table, F.pad(modalities, (0, 0, 1, 0)), ids)

    def _own(self, ids: Optional[Tensor]) -> Tensor:
        """Return the rows of the id table as they enter the sum with the encoded features."""
        own = self.ids.weight if ids is None else self.ids(ids)
        if self.id_weight is not None:
            own = own * (self.id_weight if ids is None else self.id_weight[ids])
        if self.training and self.id_dropout.p > 0:
            kept = self.id_dropout(torch.ones_like(own[:, :1]))
            rows = torch.arange(len(own), device=own.device) if ids is None else ids
            is_item = (rows > 0) & (rows < self.n_items)
            own = own * torch.where(is_item.unsqueeze(1), kept, 1.0)
        return own

    def encoded(self) -> EncodedItems:
        """Return the encoded catalogue, from the store where one is valid."""
        if self._cache is not None:
            return self._cache
        items = self._encode()
        if self._in_step:
            self._cache = items
        elif not self.training and not torch.is_grad_enabled():
            self._cache = EncodedItems(items.table, None)  # evaluation never asks for the modalities
        return items

    @contextmanager
    def step(self) -> Iterator[None]:
        """One training step: inside, the catalogue is encoded once, and forgotten at the end."""
        self.forget()
        self._in_step = True
        try:
            yield
        finally:
            self._in_step = False
            self.forget()

    @contextmanager
    def with_more_rows(self, rows: Tensor) -> Iterator[None]:
        """Inside, in evaluation, the table ends with ``rows`` (n, dim): embeddings of items that it was not made for."""
        if self.training:
            raise RuntimeError("with_more_rows() is for evaluation")
        with torch.no_grad():
            table = torch.cat([self._encode().table, rows])
        self._cache = EncodedItems(table, None)
        try:
            yield
        finally:
            self.forget()

    def encoder_weights(self) -> List[nn.Parameter]:
        """Return the matrices of the encoder, where there is one."""
        return [] if self.encoder is None else self.encoder.matrices()

    def encode_only(self, ids: Tensor) -> None:
        """Encode the item ids (...), and no others, for what is left of this step; any other id is then an IndexError.

        The cost follows the number of ids, not the number of items. The padding item and the rows beyond the items may
        always be looked up. With ``ids`` of the base table ``sparse``, its gradient has these rows alone.
        """
        if not self._in_step:
            raise RuntimeError("encode_only() belongs inside step()")
        always = torch.arange(self.n_items - 1, self.num_embeddings, device=ids.device)
        always[0] = 0  # padding, then the rows beyond the items
        ids = torch.cat([ids.flatten(), always]).unique()
        if self._place is None or self._place.device != ids.device:
            self._place = torch.full((self.num_embeddings,), -1, device=ids.device)
        self._place[ids] = torch.arange(len(ids), device=ids.device)
        self._cache = self._encode(ids)

    def forget(self) -> None:
        """Drop the stored embeddings."""
        if self._cache is not None and self._cache.ids is not None:
            self._place[self._cache.ids] = -1
        self._cache = None

    def modalities(self, ids: Tensor) -> Tensor:
        """Return the embeddings of item ids (n,) before fusion, (n_modalities, n, dim)."""
        items = self.encoded()
        return items.modalities[:, self._rows(items, ids)]

    def _rows(self, items: EncodedItems, ids: Tensor) -> Tensor:
        return ids if items.ids is None else self._place[ids]

    @property
    def weight(self) -> Tensor:
        """The whole table, (num_embeddings, dim)."""
        try:
            items = self.encoded()
        except AttributeError as error:  # inside a property, nn.Module would report it as a missing `weight`
            raise RuntimeError(f"encoding the catalogue failed: {error}") from error
        if items.ids is not None:
            raise RuntimeError("the whole table is asked for in a step that encodes a few items only")
        return items.table

    def forward(self, ids: Tensor) -> Tensor:
        """Look up item ids (...), int64, giving (..., dim)."""
        items = self.encoded()
        return F.embedding(self._rows(items, ids), items.table, padding_idx=self.padding_idx)

    def train(self, mode: bool = True):
        self.forget()
        return super().train(mode)

    def _apply(self, fn, recurse=True):
        self.forget()
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args, **kwargs):
        self.forget()
        return super()._load_from_state_dict(*args, **kwargs)

    def extra_repr(self) -> str:
        return (
            f"{self.num_embeddings}, {self.embedding_dim}, modalities={self.n_modalities}, ids={self.ids is not None}"
        )
