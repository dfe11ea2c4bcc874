"""What the multimodal recommenders share: features, edges, item graphs, and scores as products of stored embeddings."""

from pathlib import Path
from typing import List, Optional, Tuple

import scipy.sparse as sp
import torch
from torch import Tensor, nn

from recbole_sda.errors import InputError
from recbole_sda.graphs.knn import cached_neighbours, item_graph
from recbole_sda.graphs.user_item import Edges
from recbole_sda.layers.modality_features import ModalityFeatures
from recbole_sda.model.item_features import load_item_features
from recbole_sda.model.settings import FeatureSettings
from recbole_sda.recbole_patches import compat
from recbole_sda.validation import AT_LEAST_ONE, Range

compat.apply()

from recbole.model.abstract_recommender import GeneralRecommender  # noqa: E402
from recbole.model.loss import BPRLoss  # noqa: E402
from recbole.utils import InputType  # noqa: E402


class MultimodalRecommender(GeneralRecommender):
    """A general recommender whose score is the product of a user's and an item's embedding, both from :meth:`embeddings`.

    A model reads its keys with :meth:`number`, its features by calling ``item_features`` (one matrix per modality; with
    item ids, the rows of these), its graphs from ``edges`` and :meth:`item_graphs`. It has nothing to do for its SDA
    version: :mod:`recbole_sda.model.multimodal_sda` overrides :meth:`build_features`.

    Attributes:
        user_factors: width of the users' table in units of ``embedding_size``.
        modality_names: the modalities, in the store's order.
        item_features: the module that gives them.
        edges: the distinct (user, item) pairs of the training part.
        feature_record: where the features come from, for results.
    """

    input_type = InputType.PAIRWISE
    user_factors = 1

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.config = config
        self.embedding_size = self.number("embedding_size", 1, whole=True)
        self.item_features = self.build_features(config, dataset)
        pairs = dataset.inter_feat
        users, items = pairs[dataset.uid_field].numpy(), pairs[dataset.iid_field].numpy()
        self.edges = Edges.of(users, items, self.n_users, self.n_items)
        self.user_embedding = self._table(self.n_users, self.user_factors * self.embedding_size)
        self.item_embedding = self._table(self.n_items, self.embedding_size)
        self.bpr = BPRLoss()
        self._stored: Optional[Tuple[Tensor, Tensor]] = None

    def number(self, key: str, low: float, high: Optional[float] = None, whole: bool = False, above: bool = False):
        """Return a number of the configuration in [low, high), or above ``low``; any other value is an InputError."""
        return Range(low, high, closed_low=not above).check(key, self.config[key], whole)

    def _table(self, n_rows: int, dim: int) -> nn.Embedding:
        table = nn.Embedding(n_rows, dim)
        nn.init.xavier_uniform_(table.weight)
        return table

    def build_features(self, config, dataset) -> ModalityFeatures:
        """Return the module that gives the modality features."""
        aligned, self.feature_record = load_item_features(config, dataset, FeatureSettings.from_config(config))
        self.modality_names = tuple(aligned.modalities)
        return ModalityFeatures([aligned.matrices[name] for name in aligned.modalities], aligned.present)

    def item_graphs(self, weighted: bool) -> List[sp.csr_matrix]:
        """Return the normalised graph of each modality's frozen features, with ``knn_k`` neighbours: one number, or one each."""
        k = [
            AT_LEAST_ONE.check("knn_k", value, whole=True)
            for value in per_modality(self.config["knn_k"], self.modality_names, "knn_k")
        ]
        folder = Path(self.feature_record["store"]) / "graphs"
        found = []
        for m, (matrix, present) in enumerate(zip(self.item_features.frozen(), self.item_features.present)):
            found.append(item_graph(cached_neighbours(folder, matrix, present, k[m]), self.n_items, weighted))
        return found

    def nodes(self) -> Tensor:
        """Return the id embeddings of users, then items, (n_nodes, embedding_size)."""
        return torch.cat([self.user_embedding.weight, self.item_embedding.weight])

    def parts(self, nodes: Tensor) -> Tuple[Tensor, Tensor]:
        """Return a matrix over nodes (n_nodes, dim) as that of the users and that of the items."""
        return nodes[: self.n_users], nodes[self.n_users :]

    def bpr_triple(self, interaction) -> Tuple[Tensor, Tensor, Tensor]:
        """Return the users, positive and negative items of a batch."""
        return interaction[self.USER_ID], interaction[self.ITEM_ID], interaction[self.NEG_ITEM_ID]

    def embeddings(self) -> Tuple[Tensor, Tensor]:
        """Return the embeddings of all users (n_users, dim) and items (n_items, dim) whose products are the scores."""
        raise NotImplementedError

    def _for_evaluation(self) -> Tuple[Tensor, Tensor]:
        if self.training:
            return self.embeddings()
        if self._stored is None:
            with torch.no_grad():
                self._stored = self.embeddings()
        return self._stored

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores of pairs, (batch,)."""
        user, item = self._for_evaluation()
        return (user[users] * item[items]).sum(dim=1)

    def predict(self, interaction):
        return self.forward(interaction[self.USER_ID], interaction[self.ITEM_ID])

    def full_sort_predict(self, interaction):
        user, item = self._for_evaluation()
        return (user[interaction[self.USER_ID]] @ item.T).flatten()

    def train(self, mode: bool = True):
        self._stored = None
        return super().train(mode)

    def _apply(self, fn, recurse=True):
        self._stored = None
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args, **kwargs):
        self._stored = None
        return super()._load_from_state_dict(*args, **kwargs)


def score(user: Tensor, item: Tensor) -> Tensor:
    """Return the products of rows, (batch,)."""
    return (user * item).sum(dim=1)


def l2_penalty(*rows: Tensor) -> Tensor:
    """Return half the sum of squares of the rows over their number: L2 regularisation per sample of a batch."""
    return sum(part.square().sum() for part in rows) / (2 * len(rows[0]))


def per_modality(value, names, key: str) -> list:
    """Return ``value`` for each modality: one for all, or a mapping that names each, and perhaps others that a run leaves out.

    Raises:
        InputError: the mapping misses a modality.
    """
    if not isinstance(value, dict):
        return [value] * len(names)
    if not set(value) >= set(names):
        raise InputError(f"{key}={value!r}: expected one value, or one for each of the modalities {', '.join(names)}")
    return [value[name] for name in names]
