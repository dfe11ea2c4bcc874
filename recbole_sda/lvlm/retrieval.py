"""Retrieval metrics between the image and text vectors of items that were held out of training."""

from typing import Dict

import torch
from torch import Tensor
from torch.nn import functional as F


def recall_at(similarity: Tensor, k: int) -> float:
    """Return the share of rows whose diagonal entry is among the row's k largest; ties and NaN count as larger."""
    matching = similarity.diagonal().unsqueeze(1)
    ahead = (~(similarity < matching)).sum(dim=1) - 1  # negated, so that a comparison with NaN counts as ahead
    return float((ahead < k).float().mean())


def uniformity(z: Tensor) -> float:
    """Return ``log mean exp(-2 |z_i - z_j|^2)`` over pairs of different unit-norm rows (Wang and Isola 2020)."""
    if len(z) < 2:
        return 0.0
    return float(torch.pdist(z).pow(2).mul(-2).exp().mean().log())


def retrieval_metrics(image: Tensor, text: Tensor) -> Dict[str, float]:
    """Return Recall@1 and Recall@10 per direction and averaged, the alignment, and the uniformity of each modality.

    Args:
        image: image vectors of the items, (n, dim); they are compared by cosine similarity.
        text: text vectors of the same items, (n, dim).
    """
    x, y = F.normalize(image.float(), dim=-1), F.normalize(text.float(), dim=-1)
    similarity = x @ y.T
    metrics: Dict[str, float] = {}
    for k in (1, 10):
        metrics[f"image_to_text_recall@{k}"] = recall_at(similarity, k)
        metrics[f"text_to_image_recall@{k}"] = recall_at(similarity.T, k)
        metrics[f"recall@{k}"] = (metrics[f"image_to_text_recall@{k}"] + metrics[f"text_to_image_recall@{k}"]) / 2
    metrics["alignment"] = float((x - y).pow(2).sum(dim=1).mean())
    metrics["image_uniformity"], metrics["text_uniformity"] = uniformity(x), uniformity(y)
    return metrics
