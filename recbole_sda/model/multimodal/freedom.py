"""FREEDOM: a frozen item graph and a user-item graph that is pruned in each epoch (Zhou and Shen, ACM MM 2023)."""

import logging
from typing import Any, List, Tuple

import torch
from torch import Tensor, nn

from recbole_sda.errors import InputError
from recbole_sda.graphs.knn import weighted_sum
from recbole_sda.graphs.sparse import SparseMatrix
from recbole_sda.graphs.user_item import draw_edges, light_gcn, symmetric_graph, symmetric_weights
from recbole_sda.model.multimodal.base import MultimodalRecommender, score
from recbole_sda.validation import NOT_NEGATIVE

logger = logging.getLogger(__name__)


class FREEDOM(MultimodalRecommender):
    """A Tale of Two Graphs: Freezing and Denoising Graph Structures for Multimodal Recommendation (Zhou and Shen, ACM MM 2023).

    A user's embedding is LightGCN's on the user-item graph; an item's is LightGCN's plus its propagation over a graph of similar
    items.

    Item graph (the paper's section on freezing it): each item's ``knn_k`` nearest by cosine similarity with weight 1,
    normalised as ``D^-1/2 S D^-1/2``; the graphs of the modalities are summed with ``modality_weights``. User-item graph (the
    section on denoising it): each epoch keeps a share ``1 - dropout`` of the edges, drawn without replacement with probability in
    proportion to ``1 / sqrt(d_u d_i)``, and normalises the graph anew; evaluation uses all edges. The loss:

        BPR(u, i, j) + reg_weight * sum_m BPR(u, W_m f_m(i) + b_m, W_m f_m(j) + b_m)

    A modality's term leaves out triples in which an item lacks it.

    Note:
        The authors' code also trains the features f_m; here they are frozen.
    """

    edge_weights: Tensor

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.n_ui_layers, self.n_mm_layers = (self.number(f"n_{kind}_layers", 0, whole=True) for kind in ("ui", "mm"))
        self.reg_weight, self.dropout = self.number("reg_weight", 0), self.number("dropout", 0, 1)
        weights = self._weights(config["modality_weights"])
        self.item_graph = SparseMatrix(weighted_sum(self.item_graphs(weighted=False), weights))
        self.graph = symmetric_graph(self.edges)
        self.pruned = self.graph
        self.register_buffer("edge_weights", torch.from_numpy(symmetric_weights(self.edges)), persistent=False)
        self.maps = nn.ModuleList(nn.Linear(dim, self.embedding_size) for dim in self.item_features.dims)

    def _weights(self, given: Any) -> List[float]:
        """Return ``modality_weights`` with the sum 1; by default 0.1 for ``image`` and the rest shared by the others."""
        names = self.modality_names
        if given is None:
            n_others = len(names) - 1
            given = {name: 0.1 if name == "image" and n_others else 0.9 / max(n_others, 1) for name in names}
            if set(names) != {"image", "text"}:
                shares = ", ".join(f"{name} {weight / sum(given.values()):.2f}" for name, weight in given.items())
                logger.info("modality_weights of the graph of similar items, by default: %s", shares)
        elif not isinstance(given, dict) or set(given) != set(names):
            raise InputError(f"modality_weights={given!r}: expected a number for each of {', '.join(names)}")
        weights = [NOT_NEGATIVE.check(f"modality_weights: {name}", given[name]) for name in names]
        if not sum(weights):
            raise InputError(f"modality_weights={given!r}: expected numbers of at least 0, not all 0")
        return [weight / sum(weights) for weight in weights]

    def before_epoch(self, epoch: int) -> None:
        """Draw the edges that the epoch keeps."""
        if self.dropout:
            kept = self.edges.subset(draw_edges(self.edge_weights, 1 - self.dropout).cpu().numpy())
            self.pruned = symmetric_graph(kept).to(self.device)

    def propagate(self, graph: SparseMatrix) -> Tuple[Tensor, Tensor]:
        """Return the embeddings of users (n_users, dim) and items (n_items, dim) on a user-item graph."""
        user, item = self.split_nodes(light_gcn(graph, self.nodes(), self.n_ui_layers))
        similar = self.item_embedding.weight
        for _ in range(self.n_mm_layers):
            similar = self.item_graph(similar)
        return user, item + similar

    def embeddings(self) -> Tuple[Tensor, Tensor]:
        """Return the embeddings on the whole user-item graph."""
        return self.propagate(self.graph)

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return the loss of a batch of (user, item, negative item) triples, on the epoch's user-item graph."""
        users, positive, negative = self.bpr_triple(interaction)
        user, item = self.propagate(self.pruned)
        user = user[users]
        loss = self.bpr(score(user, item[positive]), score(user, item[negative]))
        if not self.reg_weight:
            return loss
        features = self.item_features(torch.cat([positive, negative]))
        for x, linear, present in zip(features, self.maps, self.item_features.present):
            both = present[positive] & present[negative]
            if both.any():
                mapped_positive, mapped_negative = linear(x).chunk(2)
                term = self.bpr(score(user, mapped_positive)[both], score(user, mapped_negative)[both])
                loss = loss + self.reg_weight * term
        return loss
