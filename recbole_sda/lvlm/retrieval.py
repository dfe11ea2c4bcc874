"""How well pictures find their texts and texts their pictures, on items that training has not seen."""

from typing import Dict

import torch
from torch import Tensor
from torch.nn import functional as F


def recall_at(similarity: Tensor, k: int) -> float:
    """Return the share of rows whose own column is among their k most similar; ties count against."""
    right = similarity.diagonal().unsqueeze(1)
    ahead = (~(similarity < right)).sum(dim=1) - 1  # what is no number is ahead as well
    return float((ahead < k).float().mean())


def uniformity(z: Tensor) -> float:
    """Return ``log mean exp(-2 |z_i - z_j|^2)`` over pairs of different unit-norm rows (Wang and Isola 2020)."""
    if len(z) < 2:
        return 0.0
    return float(torch.pdist(z).pow(2).mul(-2).exp().mean().log())


def retrieval_metrics(image: Tensor, text: Tensor) -> Dict[str, float]:
    """Return Recall@1 and @10 in both directions and their means, alignment, and the uniformity of each side.

    Args:
        image, text: vectors of the same items, (n, dim). Cosine similarity.
    """
    x, y = F.normalize(image.float(), dim=-1), F.normalize(text.float(), dim=-1)
    similarity = x @ y.T
    found: Dict[str, float] = {}
    for k in (1, 10):
        found[f"image_to_text_recall@{k}"] = recall_at(similarity, k)
        found[f"text_to_image_recall@{k}"] = recall_at(similarity.T, k)
        found[f"recall@{k}"] = (found[f"image_to_text_recall@{k}"] + found[f"text_to_image_recall@{k}"]) / 2
    found["alignment"] = float((x - y).pow(2).sum(dim=1).mean())
    found["image_uniformity"], found["text_uniformity"] = uniformity(x), uniformity(y)
    return found
