"""LGMRec: local graphs of behaviour and modalities, and global hypergraphs of attributes (Guo et al., AAAI 2024)."""

from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.graphs.user_item import light_gcn, symmetric_graph, users_from_items
from recbole_sda.layers.normalize import normalize_rows
from recbole_sda.losses.contrast import contrast
from recbole_sda.model.multimodal.base import MultimodalRecommender, score


class LGMRec(MultimodalRecommender):
    """Local embedding plus ``alpha`` times the unit-length global one, as the paper's sections on both are named:

        local = LightGCN(ids) + sum_m unit( A^L (users' means, W_m x_m) )
        H_i^m = softmax((x_m V_m + noise) / tau)      H_u^m = softmax((sum over a user's items of x_m V_m + noise) / tau)
        items_m = (H_i H_i^T)^K items of LightGCN      users_m = H_u H_i^T of the layer before       global = sum_m

    with dropout on the memberships H. The loss: BPR, ``cl_weight`` times InfoNCE between the modalities' global embeddings of
    the batch's users and items against all users and items (summed over the batch), ``reg_weight`` times the
    norms of the batch's embeddings over its size. With more than two modalities the contrast is the mean over pairs.

    An item that lacks a modality belongs to none of its hyperedges and is left out of users' means and the contrast.

    Note:
        The noise is Gumbel's, as in the authors' code (logistic in the paper), and drawn in training alone; their code draws
        it in evaluation too.
    """

    TAU = 0.2  # of the memberships and of the contrast, as in the authors' code

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        dim, dims = self.embedding_size, self.item_features.dims
        for key in ("n_ui_layers", "n_mm_layers"):
            setattr(self, key, self.number(key, 0, whole=True))
        self.n_hyper_layers, n_edges = (self.number(key, 1, whole=True) for key in ("n_hyper_layers", "n_hyperedges"))
        self.alpha, self.cl_weight, self.reg_weight = (self.number(k, 0) for k in ("alpha", "cl_weight", "reg_weight"))
        self.drop = nn.Dropout(self.number("dropout", 0, 1))
        self.graph = symmetric_graph(self.edges)
        self.to_users = users_from_items(self.edges, "sum")
        self.maps = nn.ModuleList(nn.Linear(size, dim, bias=False) for size in dims)
        self.hyperedges = nn.ModuleList(nn.Linear(size, n_edges, bias=False) for size in dims)
        for linear in (*self.maps, *self.hyperedges):
            nn.init.xavier_uniform_(linear.weight)
        count = self.to_users(self.item_features.present.T.float())
        self.register_buffer("per_user", 1 / count.clamp(min=1), persistent=False)  # (n_users, n_modalities)

    def _members(self, logits: Tensor) -> Tensor:
        if self.training:
            return self.drop(F.gumbel_softmax(logits, self.TAU, dim=1))
        return (logits / self.TAU).softmax(dim=1)

    def propagate(self):
        """Return the embeddings of all nodes, and the global ones of users and of items for each modality."""
        behaviour = light_gcn(self.graph, self.nodes(), self.n_ui_layers)
        items_of_behaviour = self.parts(behaviour)[1]
        features, present = self.item_features(), self.item_features.present.unsqueeze(-1)
        mapped = [linear(x) * has for linear, x, has in zip(self.maps, features, present)]
        logits = [linear(x) * has for linear, x, has in zip(self.hyperedges, features, present)]
        sizes = [x.shape[1] for x in (*mapped, *logits)]
        from_items = self.to_users(torch.cat([*mapped, *logits], dim=1)).split(sizes, dim=1)
        n, local, of_users, of_items = len(mapped), behaviour, [], []
        for m in range(n):
            nodes = torch.cat([from_items[m] * self.per_user[:, m : m + 1], mapped[m]])
            for _ in range(self.n_mm_layers):
                nodes = self.graph(nodes)
            local = local + normalize_rows(nodes)
            item_members, user_members = self._members(logits[m]) * present[m], self._members(from_items[n + m])
            items = items_of_behaviour
            for _ in range(self.n_hyper_layers):
                edges = item_members.T @ items
                items, users = item_members @ edges, user_members @ edges
            of_users.append(users)
            of_items.append(items)
        together = torch.cat([sum(of_users), sum(of_items)])
        return local + self.alpha * normalize_rows(together), of_users, of_items

    def embeddings(self):
        return self.parts(self.propagate()[0])

    def _contrast(self, users: Tensor, items: Tensor, of_users, of_items) -> Tensor:
        pairs = list(combinations(range(len(of_users)), 2))
        total = users.new_zeros((), dtype=torch.float32)
        present = self.item_features.present
        for a, b in pairs:
            both = items[present[a, items] & present[b, items]]
            place = present[b].cumsum(dim=0) - 1  # of an item among those that have b
            total = total + len(users) * contrast(of_users[a][users], of_users[b][1:], self.TAU, users - 1)
            total = total + len(both) * contrast(of_items[a][both], of_items[b][present[b]], self.TAU, place[both])
        return total / max(len(pairs), 1)

    def calculate_loss(self, interaction):
        users, positive, negative = self.bpr_triple(interaction)
        nodes, of_users, of_items = self.propagate()
        all_users, all_items = self.parts(nodes)
        rows = all_users[users], all_items[positive], all_items[negative]
        loss = self.bpr(score(rows[0], rows[1]), score(rows[0], rows[2]))
        if self.cl_weight:
            loss = loss + self.cl_weight * self._contrast(users, positive, of_users, of_items)
        return loss + self.reg_weight * sum(torch.linalg.vector_norm(row) for row in rows) / len(users)
