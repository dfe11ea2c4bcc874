"""An item encoder behind the two ways in which RecBole models use ``nn.Embedding``: a call with ids, and ``.weight``."""

from contextlib import contextmanager
from typing import Iterator, NamedTuple, Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.layers.item_encoder import ItemEncoder


class Catalogue(NamedTuple):
    """The encoded catalogue.

    Attributes:
        table: item embeddings, (num_embeddings, dim); row 0 is padding.
        modalities: modality embeddings before fusion, (n_modalities, n_items, dim); None without an encoder. Row 0 is
            padding and holds zeros.
    """

    table: Tensor
    modalities: Optional[Tensor]


class EncodedItemEmbedding(nn.Module):
    """A table of item embeddings whose rows are computed from modality features.

    Inside ``with embedding.step():`` (a training step), and in evaluation without gradients, the catalogue is encoded
    once and every further use takes the stored result. It is dropped by ``train()``, ``load_state_dict`` and a change
    of device or dtype.

    Args:
        base: the table that is replaced. Its rows from ``n_items`` on (a mask token, say) stay learned rows.
        n_items: number of items with the padding item 0.
        encoder: None keeps ``base`` as it is (the identity encoder).
        features: one matrix (n_items, d_m) per modality, float32; row 0 is padding and never read.
        present: (n_modalities, n_items), bool; False where an item lacks a modality.
        add_ids: whether ``base`` is kept and added to the encoded features. Without it an item that was never seen in
            training still has a meaningful embedding, and the padding row is zero.
    """

    def __init__(
        self,
        base: nn.Embedding,
        n_items: int,
        encoder: Optional[ItemEncoder] = None,
        features: Sequence[Tensor] = (),
        present: Optional[Tensor] = None,
        add_ids: bool = True,
    ):
        super().__init__()
        self.num_embeddings, self.embedding_dim = base.num_embeddings, base.embedding_dim
        self.padding_idx, self.n_items = base.padding_idx, n_items
        self.encoder = encoder
        keep_ids = add_ids or encoder is None
        self.ids = base if keep_ids else None
        self.extra = None
        if not keep_ids and self.num_embeddings > n_items:
            self.extra = nn.Parameter(base.weight[n_items:].detach().clone())
        self.n_modalities = len(features)
        for m, matrix in enumerate(features):
            self.register_buffer(f"features_{m}", matrix[1:].contiguous(), persistent=False)
        self.register_buffer("present", None if present is None else present[:, 1:].contiguous(), persistent=False)
        self._cache: Optional[Catalogue] = None
        self._in_step = False

    @property
    def features(self) -> list:
        """The feature matrices without the padding row, each (n_items - 1, d_m)."""
        return [getattr(self, f"features_{m}") for m in range(self.n_modalities)]

    def _encode(self) -> Catalogue:
        if self.encoder is None:
            return Catalogue(self.ids.weight, None)
        modalities = self.encoder.project(self.features, self.present)
        encoded = self.encoder.fuse(modalities, self.present)
        n_extra = self.num_embeddings - self.n_items
        if self.ids is not None:
            table = self.ids.weight + F.pad(encoded, (0, 0, 1, n_extra))
        else:
            rows = [encoded.new_zeros(1, self.embedding_dim), encoded]
            table = torch.cat(rows if self.extra is None else [*rows, self.extra])
        return Catalogue(table, F.pad(modalities, (0, 0, 1, 0)))

    def catalogue(self) -> Catalogue:
        """Return the encoded catalogue, from the store where one is valid."""
        if self._cache is not None:
            return self._cache
        catalogue = self._encode()
        if self._in_step:
            self._cache = catalogue
        elif not self.training and not torch.is_grad_enabled():
            self._cache = Catalogue(catalogue.table, None)  # evaluation never asks for the modalities
        return catalogue

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

    def forget(self) -> None:
        """Drop the stored catalogue."""
        self._cache = None

    @property
    def weight(self) -> Tensor:
        """The whole table, (num_embeddings, dim)."""
        try:
            return self.catalogue().table
        except AttributeError as error:  # inside a property, nn.Module would report it as a missing `weight`
            raise RuntimeError(f"encoding the catalogue failed: {error}") from error

    def forward(self, ids: Tensor) -> Tensor:
        """Look up item ids (...), int64, giving (..., dim)."""
        return F.embedding(ids, self.catalogue().table, padding_idx=self.padding_idx)

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
