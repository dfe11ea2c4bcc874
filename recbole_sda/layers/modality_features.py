"""Modality features of all items as a module: unchanged, or adapted by an item encoder."""

from contextlib import contextmanager
from typing import Iterator, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from recbole_sda.layers.item_encoder import ItemEncoder


class ModalityFeatures(nn.Module):
    """Frozen features. A call returns one matrix per modality, with zeros where an item lacks it.

    Args:
        matrices: one matrix (n_items, d_m) per modality, float32; row 0 is padding.
        present: (n_modalities, n_items), bool; the padding item counts as missing, whatever its entry is.
    """

    present: Tensor

    def __init__(self, matrices: Sequence[Tensor], present: Tensor):
        super().__init__()
        self.encoder: Optional[ItemEncoder] = None
        present = present.clone()
        present[:, 0] = False
        self.n_modalities, self.n_items = present.shape
        for m, matrix in enumerate(matrices):
            self.register_buffer(
                f"features_{m}", torch.where(present[m].unsqueeze(1), matrix.float(), 0.0), persistent=False
            )
        self.register_buffer("present", present, persistent=False)

    @property
    def dims(self) -> List[int]:
        """Width of each modality in the result of a call."""
        return [matrix.shape[1] for matrix in self.frozen()]

    def frozen(self, ids: Optional[Tensor] = None) -> List[Tensor]:
        """Return the unchanged features of item ids (n,), or of all items for None, each (n, d_m)."""
        matrices = [getattr(self, f"features_{m}") for m in range(self.n_modalities)]
        return matrices if ids is None else [matrix[ids] for matrix in matrices]

    def frozen_features(self, ids: Tensor) -> Tuple[List[Tensor], Tensor]:
        """Return the unchanged features of item ids (n,), each (n, d_m), and which are present, (n_modalities, n)."""
        return self.frozen(ids), self.present[:, ids]

    def forward(self, ids: Optional[Tensor] = None) -> List[Tensor]:
        return self.frozen(ids)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Context manager of one training step."""
        yield

    def encoder_weights(self) -> List[nn.Parameter]:
        """Return the weight matrices of the encoder; an empty list without an encoder."""
        return [] if self.encoder is None else self.encoder.matrices()


class AdaptedFeatures(ModalityFeatures):
    """Features that an item encoder maps to one embedding per modality. The fusion of the encoder is not used.

    A missing modality is the encoder's learned embedding. Inside ``with features.step():``, an encoding of all items is reused
    for the rest of the step.

    Args:
        source: the frozen features.
        encoder: maps features of widths ``source.dims`` to ``out_dim``.
        out_dim: width of each modality after the encoder.
    """

    encoder: ItemEncoder

    def __init__(self, source: ModalityFeatures, encoder: ItemEncoder, out_dim: int):
        super().__init__(source.frozen(), source.present)
        self.encoder, self.out_dim = encoder, out_dim
        self._cache: Optional[Tensor] = None
        self._in_step = False

    @property
    def dims(self) -> List[int]:
        return [self.out_dim] * self.n_modalities

    def modalities(self, ids: Optional[Tensor] = None) -> Tensor:
        """Return the modality embeddings of item ids (n,), or of all items for None, (n_modalities, n, out_dim)."""
        if self._cache is not None:
            return self._cache if ids is None else self._cache[:, ids]
        encoded = self.encoder.project(self.frozen(ids), self.present if ids is None else self.present[:, ids])
        if ids is None and self._in_step:
            self._cache = encoded
        return encoded

    def forward(self, ids: Optional[Tensor] = None) -> List[Tensor]:
        return list(self.modalities(ids))

    @contextmanager
    def step(self) -> Iterator[None]:
        self._in_step = True
        try:
            yield
        finally:
            self._in_step, self._cache = False, None
