"""LGMRec: local graphs of behaviour and modalities, and global hypergraphs of attributes (Guo et al., AAAI 2024)."""

from functools import reduce
from itertools import combinations
from typing import Any, List, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.graphs.user_item import light_gcn, symmetric_graph, users_from_items
from recbole_sda.layers.normalize import normalize_rows
from recbole_sda.losses.infonce import infonce_loss
from recbole_sda.model.multimodal.base import MultimodalRecommender, score


class LGMRec(MultimodalRecommender):
    """Local and Global Graph Learning for Multimodal Recommendation (Guo et al., AAAI 2024).

    The embedding is the local one plus ``alpha`` times the global one at unit length (the paper's sections on both):

        local = LightGCN(ids) + sum_m unit( A^L (users' means, W_m x_m) )
        H_i^m = softmax((x_m V_m + noise) / tau)      H_u^m = softmax((sum over a user's items of x_m V_m + noise) / tau)
        items_m = (H_i H_i^T)^K items of LightGCN      users_m = H_u H_i^T of the layer before       global = sum_m

    with V_m (d_m, ``n_hyperedges``), A the normalised user-item graph, L = ``n_mm_layers``, K = ``n_hyper_layers``, and dropout on
    the memberships H. The loss has three terms. BPR. ``cl_weight`` times InfoNCE between the modalities' global embeddings, of the
    batch's users and items against all users and items, summed over the batch; with more than two modalities, the mean over pairs.
    ``reg_weight`` times the norms of the batch's embeddings, divided by the batch size.

    An item that lacks a modality belongs to none of its hyperedges; users' means and the contrast leave it out.

    Note:
        The noise is Gumbel's, as in the authors' code (logistic in the paper), and is drawn in training only; their code also draws
        it in evaluation.
    """

    TAU = 0.2  # of the memberships and of the contrast, as in the authors' code
    inverse_counts: Tensor  # (n_users, n_modalities): 1 / number of a user's items that have the modality

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        dim, dims = self.embedding_size, self.item_features.dims
        self.n_ui_layers, self.n_mm_layers = (self.number(f"n_{kind}_layers", 0, whole=True) for kind in ("ui", "mm"))
        self.n_hyper_layers = self.number("n_hyper_layers", 1, whole=True)
        n_hyperedges = self.number("n_hyperedges", 1, whole=True)
        self.alpha, self.cl_weight, self.reg_weight = (self.number(k, 0) for k in ("alpha", "cl_weight", "reg_weight"))
        self.drop = nn.Dropout(self.number("dropout", 0, 1))
        self.graph = symmetric_graph(self.edges)
        self.to_users = users_from_items(self.edges, "sum")
        self.maps = nn.ModuleList(nn.Linear(size, dim, bias=False) for size in dims)
        self.hyperedges = nn.ModuleList(nn.Linear(size, n_hyperedges, bias=False) for size in dims)
        for linear in (*self.maps, *self.hyperedges):
            nn.init.xavier_uniform_(linear.weight)
        count = self.to_users(self.item_features.present.T.float())
        self.register_buffer("inverse_counts", 1 / count.clamp(min=1), persistent=False)

    def _memberships(self, logits: Tensor) -> Tensor:
        """Return the memberships of nodes in hyperedges, (n, n_hyperedges), each row a distribution before dropout."""
        if self.training:
            return self.drop(F.gumbel_softmax(logits, self.TAU, dim=1))
        return (logits / self.TAU).softmax(dim=1)

    def propagate(self) -> Tuple[Tensor, List[Tensor], List[Tensor]]:
        """Return the embeddings of all nodes, (n_nodes, dim), and each modality's global ones of users and of items."""
        behaviour = light_gcn(self.graph, self.nodes(), self.n_ui_layers)
        items_of_behaviour = self.split_nodes(behaviour)[1]
        features, present = self.item_features(), self.item_features.present.unsqueeze(-1)
        mapped = [linear(x) * mask for linear, x, mask in zip(self.maps, features, present)]
        logits = [linear(x) * mask for linear, x, mask in zip(self.hyperedges, features, present)]
        sizes = [x.shape[1] for x in (*mapped, *logits)]
        user_sums = self.to_users(torch.cat([*mapped, *logits], dim=1)).split(sizes, dim=1)
        n, local, global_users, global_items = len(mapped), behaviour, [], []
        for m in range(n):
            nodes = torch.cat([user_sums[m] * self.inverse_counts[:, m : m + 1], mapped[m]])
            for _ in range(self.n_mm_layers):
                nodes = self.graph(nodes)
            local = local + normalize_rows(nodes)
            of_items, of_users = self._memberships(logits[m]) * present[m], self._memberships(user_sums[n + m])
            users, items = self._over_hyperedges(of_users, of_items, items_of_behaviour)
            global_users.append(users)
            global_items.append(items)
        summed = torch.cat([reduce(torch.add, global_users), reduce(torch.add, global_items)])
        return local + self.alpha * normalize_rows(summed), global_users, global_items

    def _over_hyperedges(self, of_users: Tensor, of_items: Tensor, items: Tensor) -> Tuple[Tensor, Tensor]:
        """Return users and items after ``n_hyper_layers`` from items (n_items, dim) over hyperedges, by both memberships."""
        for _ in range(self.n_hyper_layers):
            hyperedges = of_items.T @ items
            items, users = of_items @ hyperedges, of_users @ hyperedges
        return users, items

    def embeddings(self) -> Tuple[Tensor, Tensor]:
        """Return the embeddings of all users and items."""
        return self.split_nodes(self.propagate()[0])

    def _contrast(self, users: Tensor, items: Tensor, global_users: List[Tensor], global_items: List[Tensor]) -> Tensor:
        """Return InfoNCE between the modalities' global embeddings, the mean over pairs of the sum over the batch."""
        pairs = list(combinations(range(len(global_users)), 2))
        total = users.new_zeros((), dtype=torch.float32)
        present = self.item_features.present
        for a, b in pairs:
            both = items[present[a, items] & present[b, items]]
            position = present[b].cumsum(dim=0) - 1  # of an item among those that have b
            users_b, items_b = global_users[b][1:], global_items[b][present[b]]
            total = total + len(users) * infonce_loss(global_users[a][users], users_b, self.TAU, users - 1)
            total = total + len(both) * infonce_loss(global_items[a][both], items_b, self.TAU, position[both])
        return total / max(len(pairs), 1)

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return the loss of a batch of (user, item, negative item) triples."""
        users, positive, negative = self.bpr_triple(interaction)
        nodes, global_users, global_items = self.propagate()
        all_users, all_items = self.split_nodes(nodes)
        rows = all_users[users], all_items[positive], all_items[negative]
        loss = self.bpr(score(rows[0], rows[1]), score(rows[0], rows[2]))
        if self.cl_weight:
            loss = loss + self.cl_weight * self._contrast(users, positive, global_users, global_items)
        return loss + self.reg_weight * sum(torch.linalg.vector_norm(row) for row in rows) / len(users)
