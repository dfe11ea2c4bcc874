"""What the multimodal recommenders share: features, edges, item graphs, and scores as products of cached embeddings."""

from functools import reduce
from typing import Any, Callable, List, Optional, Self, Sequence, Tuple

import scipy.sparse as sp
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.loss import BPRLoss
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_sda.errors import InputError
from recbole_sda.features.store_choice import store_folder
from recbole_sda.graphs.knn import SEARCHES, cached_neighbours, item_graph
from recbole_sda.graphs.user_item import Edges
from recbole_sda.layers.modality_features import ModalityFeatures
from recbole_sda.model.completed_items import CompletedItems
from recbole_sda.model.item_features import load_item_features
from recbole_sda.model.settings import FeatureSettings
from recbole_sda.validation import AT_LEAST_ONE, Range, check_choice


class MultimodalRecommender(CompletedItems, GeneralRecommender):
    """A general recommender whose score is the product of a user's and an item's embedding, both from :meth:`embeddings`.

    A subclass reads its keys with :meth:`number`, calls ``item_features`` for features (one matrix per modality; with item ids,
    their rows), and takes its graphs from ``edges`` and :meth:`item_graphs`. It needs no code for its SDA version:
    :mod:`recbole_sda.model.multimodal_sda` overrides :meth:`build_features`.

    Attributes:
        user_factors: width of the user table in units of ``embedding_size``.
        modality_names: the modalities, in the store's order.
        item_features: the module that returns their features.
        edges: the distinct (user, item) pairs of the training part.
        feature_record: provenance of the features, for results.

    Raises:
        InputError: a key has a wrong value, or the features cannot be used.
    """

    input_type = InputType.PAIRWISE
    user_factors = 1
    item_caches = ("_cached_embeddings",)

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.config = config
        self.completions = []
        self.embedding_size = self.number("embedding_size", 1, whole=True)
        self.item_features = self.build_features(config, dataset)
        pairs = dataset.inter_feat
        users, items = pairs[dataset.uid_field].numpy(), pairs[dataset.iid_field].numpy()
        self.edges = Edges.from_interactions(users, items, self.n_users, self.n_items)
        self.user_embedding = self._table(self.n_users, self.user_factors * self.embedding_size)
        self.item_embedding = self._table(self.n_items, self.embedding_size)
        self.bpr = BPRLoss()
        self._cached_embeddings: Optional[Tuple[Tensor, Tensor]] = None

    def number(
        self, key: str, low: float, high: Optional[float] = None, whole: bool = False, above: bool = False
    ) -> Any:
        """Return a number of the configuration, an int (``whole``) or a float.

        Raises:
            InputError: it is not in [low, high), or with ``above`` not in (low, high).
        """
        return Range(low, high, closed_low=not above).check(key, self.config[key], whole)

    def _table(self, n_rows: int, dim: int) -> nn.Embedding:
        table = nn.Embedding(n_rows, dim)
        nn.init.xavier_uniform_(table.weight)
        return table

    def build_features(self, config: Any, dataset: Any) -> ModalityFeatures:
        """Return the module that holds the modality features."""
        aligned, self.feature_record = load_item_features(config, dataset, FeatureSettings.from_config(config))
        self.modality_names = tuple(aligned.modalities)
        return ModalityFeatures([aligned.matrices[name] for name in aligned.modalities], aligned.present)

    def item_graphs(self, weighted: bool) -> List[sp.csr_matrix]:
        """Return the normalised nearest-neighbour graph of each modality's frozen features, (n_items, n_items).

        ``knn_k`` is the number of neighbours, one for all modalities or one for each.

        Args:
            weighted: whether an edge's weight is the cosine similarity, or 1.
        """
        values = per_modality(self.config["knn_k"], self.modality_names, "knn_k")
        k = [AT_LEAST_ONE.check("knn_k", value, whole=True) for value in values]
        folder = store_folder(self.feature_record["store"]) / "graphs"
        search = check_choice("neighbour_search", self.config["neighbour_search"], SEARCHES)
        modalities = zip(self.item_features.frozen(), self.item_features.present, k)
        neighbours = (cached_neighbours(folder, *modality, search) for modality in modalities)
        return [item_graph(each, self.n_items, weighted) for each in neighbours]

    def nodes(self) -> Tensor:
        """Return the id embeddings of users, then items, (n_nodes, embedding_size)."""
        return torch.cat([self.user_embedding.weight, self.item_embedding.weight])

    def split_nodes(self, nodes: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the users' rows and the items' rows of a matrix over nodes, (n_nodes, dim)."""
        return nodes[: self.n_users], nodes[self.n_users :]

    def bpr_triple(self, interaction: Any) -> Tuple[Tensor, Tensor, Tensor]:
        """Return the users, positive items and negative items of a batch, each (batch,)."""
        return interaction[self.USER_ID], interaction[self.ITEM_ID], interaction[self.NEG_ITEM_ID]

    def embeddings(self) -> Tuple[Tensor, Tensor]:
        """Return the embeddings of all users (n_users, dim) and items (n_items, dim) whose products are the scores."""
        raise NotImplementedError

    def _current_embeddings(self) -> Tuple[Tensor, Tensor]:
        """Return :meth:`embeddings`, computed once per evaluation."""
        if self.training:
            return self.embeddings()
        if self._cached_embeddings is None:
            with torch.no_grad():
                user, item = self.embeddings()
                self._cached_embeddings = user, self.completed_items(item)
        return self._cached_embeddings

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores of pairs, (batch,)."""
        user, item = self._current_embeddings()
        return (user[users] * item[items]).sum(dim=1)

    def predict(self, interaction: Any) -> Tensor:
        """Return the scores of a batch's pairs, (batch,)."""
        return self.forward(interaction[self.USER_ID], interaction[self.ITEM_ID])

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Return the scores of all items for a batch's users, (batch * n_items,)."""
        user, item = self._current_embeddings()
        return (user[interaction[self.USER_ID]] @ item.T).flatten()

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode, and drop the cached embeddings."""
        self._cached_embeddings = None
        return super().train(mode)

    def _apply(self, fn: Callable, recurse: bool = True) -> Self:
        self._cached_embeddings = None
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._cached_embeddings = None
        super()._load_from_state_dict(*args, **kwargs)


def score(user: Tensor, item: Tensor) -> Tensor:
    """Return the products of rows k of two matrices (batch, dim), (batch,)."""
    return (user * item).sum(dim=1)


def l2_penalty(*rows: Tensor) -> Tensor:
    """Return half the sum of squares of matrices (batch, dim), divided by batch: L2 regularisation per sample.

    Example:
        >>> l2_penalty(torch.ones(2, 3), torch.ones(2, 1)).item()
        2.0
    """
    return reduce(torch.add, (part.square().sum() for part in rows)) / (2 * len(rows[0]))


def per_modality(value: Any, names: Sequence[str], key: str) -> list:
    """Return a key's value for each modality.

    Args:
        value: one value for all modalities, or a mapping with one for each; it may name modalities that a run leaves out.
        names: the modalities.
        key: name of the key, for the message.

    Raises:
        InputError: the mapping lacks a modality.

    Example:
        >>> per_modality({"image": 40, "text": 15}, ["text", "image"], "knn_k")
        [15, 40]
    """
    if not isinstance(value, dict):
        return [value] * len(names)
    if not set(value) >= set(names):
        raise InputError(f"{key}={value!r}: expected one value, or one for each of the modalities {', '.join(names)}")
    return [value[name] for name in names]
