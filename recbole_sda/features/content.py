"""One content vector per item from all of its modalities, and the principal components of these vectors."""

from typing import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def content_vectors(matrices: Sequence[Tensor], present: Tensor) -> Tensor:
    """Return the unit-length modality vectors of each item, concatenated and divided by their joint length.

    The cosine similarity of two items that have all modalities is the mean of their similarities within each modality, which is
    what CMSA's teacher compares. A missing modality is zero.

    Args:
        matrices: features of each modality, each (n_items, d_m).
        present: (n_modalities, n_items), bool.

    Returns:
        (n_items, sum of d_m), float32. An item without any modality is zero.

    Example:
        >>> image, text = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0], [3.0]])
        >>> vectors = content_vectors([image, text], torch.tensor([[True, True], [True, True]]))
        >>> (vectors @ vectors.T).round(decimals=2).tolist()  # images have cosine 0, texts have cosine 1
        [[1.0, 0.5], [0.5, 1.0]]
    """
    parts = [F.normalize(matrix.float(), dim=1) * mask.unsqueeze(1) for matrix, mask in zip(matrices, present)]
    return F.normalize(torch.cat(parts, dim=1), dim=1)


def principal_components(vectors: Tensor, present: Tensor, width: int) -> Tensor:
    """Return the leading principal components of the vectors, each with mean 0 and variance 1 over the items that have a vector.

    The sign of each component is fixed by its largest loading, so that the result does not depend on the linear algebra library.

    Args:
        vectors: (n_items, dim).
        present: (n_items,), bool; the result is zero for other items, which have no influence.
        width: number of components. Components beyond the rank of the vectors are zero.

    Returns:
        (n_items, width), float32.

    Example:
        >>> vectors = torch.tensor([[0.0, 0.0], [3.0, 1.0], [-3.0, 1.0], [0.0, 1.0]])
        >>> components = principal_components(vectors, torch.tensor([False, True, True, True]), 2)
        >>> [f"{value:.2f}" for value in components[:, 0].abs()], bool((components[:, 1] == 0).all())
        (['0.00', '1.22', '1.22', '0.00'], True)
    """
    result = torch.zeros(len(vectors), width)
    chosen = vectors[present].double()
    if len(chosen) < 2:
        return result
    centred = chosen - chosen.mean(dim=0)
    values, axes = torch.linalg.eigh(centred.T @ centred / len(centred))
    values, axes = values.flip(0)[:width], axes.flip(1)[:, :width]
    axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
    scale = torch.where(values > values[0] * 1e-9, values.clamp(min=1e-300).rsqrt(), 0.0)
    components = (centred @ axes) * scale
    result[present, : components.shape[1]] = components.float()
    return result
