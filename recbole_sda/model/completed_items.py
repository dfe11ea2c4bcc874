"""Models whose items can get rows from content in evaluation, and what gives these rows to cold and to new items."""

from contextlib import contextmanager
from typing import Any, Iterator, List, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from recbole_sda.features.content import content_vectors
from recbole_sda.graphs.knn import nearest_among
from recbole_sda.layers.content_rows import Completion, ContentRows
from recbole_sda.model.item_features import align_item_features
from recbole_sda.model.settings import FeatureSettings

NEIGHBOURS, SCALE, KAPPA = 10, 20.0, 20.0  # measured on new items: see docs/content.md


class CompletedItems:
    """Mixin of the models that read item features: in evaluation, rows from content complete the rows of their items.

    The rows are those that enter the scores: of the item table, or, where a model propagates over a graph, those after
    propagation.

    Attributes:
        completions: the rows, see :class:`~recbole_sda.layers.content_rows.Completion`.
        item_caches: attributes with embeddings that the model stores in evaluation.
    """

    completions: List[Completion]
    training: bool  # of nn.Module
    item_caches: Tuple[str, ...] = ()

    def content_part(self, features: Sequence[Tensor], present: Tensor) -> Optional[Tensor]:
        """Return the part of new items' rows that content alone makes, (n, dim), or None.

        Args:
            features: of the items, (n, d_m) for each modality.
            present: (n_modalities, n), bool.
        """
        return None

    def completed_items(self, items: Tensor) -> Tensor:
        """Return the rows of all items (n_items, dim) with the completions; in training, unchanged."""
        for completion in () if self.training else self.completions:
            items = completion.table(items)
        return items

    def _forget_items(self) -> None:
        for name in self.item_caches:
            setattr(self, name, None)

    @contextmanager
    def completed(self, completion: Completion) -> Iterator[None]:
        """Context manager in which the model has one more completion. Afterwards it is as before, bit for bit."""
        kept = {name: getattr(self, name) for name in self.item_caches}
        self.completions.append(completion)
        self._forget_items()
        try:
            yield
        finally:
            self.completions.pop()
            self._forget_items()
            for name, value in kept.items():
                setattr(self, name, value)


class TrainedContent:
    """Content of the items with training interactions, among which other items have their neighbours.

    Args:
        vectors: content vectors of all items, (n_items, dim).
        counts: training interactions of each item, (n_items,); items with 0 are no neighbours.
        scale: length of the rows, relative to the mean length of their neighbours'.

    Attributes:
        trained: the items that can be neighbours, (n_items,), bool.

    Example:
        >>> content = TrainedContent(torch.eye(3), torch.tensor([0, 20, 20]))
        >>> rows = content.rows(torch.tensor([[0.0, 1.0, 0.0]]))
        >>> rows.index.tolist(), rows.weight.round(decimals=3).tolist()
        ([[1, 2]], [[1.0, 0.0]])
    """

    def __init__(self, vectors: Tensor, counts: Tensor, scale: float = 1.0):
        self.vectors, self.counts, self.scale = vectors, counts, scale
        self.trained = (counts > 0) & vectors.any(dim=1)

    @classmethod
    def of(cls, config: Any, dataset: Any) -> "TrainedContent":
        """Return the content of a run's items: the features after ``feature_views``, as in ``id_smoothing``.

        Args:
            config: configuration of the run.
            dataset: RecBole's training part, with ``training_counts``.
        """
        settings = FeatureSettings.from_config(config)
        _, aligned = align_item_features(config, dataset, settings)
        vectors = content_vectors([aligned.matrices[name] for name in aligned.modalities], aligned.present)
        vectors[0] = 0
        return cls(vectors, torch.from_numpy(dataset.training_counts.items), settings.cold_item_scale)

    def rows(self, vectors: Tensor) -> ContentRows:
        """Return the rows of items with these content vectors (n, dim).

        Neighbours are the :data:`NEIGHBOURS` most similar trained items. A neighbour with n training interactions has a weight in
        proportion to ``exp(SCALE * cosine) * n / (n + KAPPA)``: rows of rare items are uncertain.
        """
        index, similarity = nearest_among(vectors, self.vectors, self.trained, NEIGHBOURS)
        n = self.counts[index]
        weight = F.softmax(SCALE * similarity + (n / (n + KAPPA)).log(), dim=1)
        return ContentRows(index, weight, self.scale)


def reads_content(model: Any) -> bool:
    """Return whether a model's items can be completed: it reads features, and its scores come from rows of its items."""
    return isinstance(model, CompletedItems) and getattr(model, "feature_record", None) is not None


def complete_cold_items(model: Any, config: Any, dataset: Any) -> None:
    """Give cold items rows from content in all evaluations of a model; a model that reads no features stays as it is.

    Items without any feature keep their rows.

    Args:
        model: the model, on its device.
        config: configuration of the run.
        dataset: RecBole's training part, with ``training_counts``. Its attribute ``absent_items`` has the ids of the items that
            the split leaves without training interactions, int64; without it, as in RecBole's own splits, nothing happens.
    """
    cold = getattr(dataset, "absent_items", None)
    if cold is None or not len(cold) or not reads_content(model):
        return
    content, items = TrainedContent.of(config, dataset), torch.from_numpy(cold)
    items = items[content.vectors[items].any(dim=1) & ~content.trained[items]]
    if len(items) and content.trained.any():
        rows, device = content.rows(content.vectors[items]), config["device"]
        model.completions.append(Completion(rows.to(device), items.to(device)))
