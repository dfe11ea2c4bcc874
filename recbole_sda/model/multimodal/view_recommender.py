"""What MGCN and SMORE share: a view of behaviour, one view per item graph, and a contrastive term between the two."""

from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn

from recbole_sda.graphs.user_item import light_gcn, symmetric_graph, users_from_items
from recbole_sda.losses.contrast import contrast
from recbole_sda.model.multimodal.base import MultimodalRecommender, l2_penalty, score


def gate(dim: int) -> nn.Sequential:
    """Return ``sigmoid(W x + b)``."""
    return nn.Sequential(nn.Linear(dim, dim), nn.Sigmoid())


class ViewRecommender(MultimodalRecommender):
    """Embedding = behaviour view + side view. Behaviour is LightGCN of the id embeddings; a subclass makes the side of its views.

    The loss is BPR, L2 regularisation of the batch's embeddings, and InfoNCE between the two views of the batch's items and
    of its users.
    """

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        dim, n_modalities = self.embedding_size, len(self.modality_names)
        self.n_ui_layers, self.n_layers = (self.number(key, 0, whole=True) for key in ("n_ui_layers", "n_layers"))
        self.reg_weight, self.cl_weight = self.number("reg_weight", 0), self.number("cl_weight", 0)
        self.temperature = self.number("temperature", 0, above=True)
        self.graph = symmetric_graph(self.edges)
        present = self.item_features.present
        there = torch.cat([present.new_ones(n_modalities, self.n_users), present], dim=1)  # users have all of them
        self.register_buffer("there", there.unsqueeze(-1), persistent=False)
        self.to_users = users_from_items(self.edges, "symmetric")
        self.maps = nn.ModuleList(nn.Linear(size, dim) for size in self.item_features.dims)
        self.gates = nn.ModuleList(gate(dim) for _ in range(n_modalities))
        self.preferences = nn.ModuleList(gate(dim) for _ in range(n_modalities))

    def mapped(self) -> List[Tensor]:
        """Return the features in the space of the embeddings, one matrix (n_items, dim) per modality."""
        return [linear(x) for linear, x in zip(self.maps, self.item_features())]

    def item_views(self) -> List[Tensor]:
        """Return what each view's graph of items starts from, each (n_items, dim)."""
        raise NotImplementedError

    def side(self, behaviour: Tensor, views: Tensor, there: Tensor) -> Tensor:
        """Return the side view of some nodes, (n, dim), row by row.

        Args:
            behaviour: (n, dim).
            views: (n_views, n, dim).
            there: (n_modalities, n, 1), bool, which of them have a modality.
        """
        raise NotImplementedError

    def views(self) -> List[Tensor]:
        """Return each view over all nodes, (n_nodes, dim): items over their graph, users from their items."""
        items = self.item_views()
        for _ in range(self.n_layers):
            items = [graph(x) for graph, x in zip(self.graphs, items)]
        return [torch.cat([self.to_users(x), x]) for x in items]

    def both(self, nodes: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
        """Return the behaviour and the side view of some nodes (n,), or of all, each (n, dim).

        The graphs need all nodes; what follows is made for those that are asked for.
        """
        behaviour, views = light_gcn(self.graph, self.nodes(), self.n_ui_layers), self.views()
        there = self.there
        if nodes is not None:
            behaviour, views, there = behaviour[nodes], [view[nodes] for view in views], there[:, nodes]
        return behaviour, self.side(behaviour, torch.stack(views), there)

    def embeddings(self):
        return self.parts(sum(self.both()))

    def calculate_loss(self, interaction):
        users, positive, negative = self.bpr_triple(interaction)
        asked = torch.cat([users, positive + self.n_users, negative + self.n_users])
        nodes, place = asked.unique(return_inverse=True)
        behaviour, side = self.both(nodes)
        user, near, far = ((behaviour + side)[rows] for rows in place.chunk(3))
        loss = self.bpr(score(user, near), score(user, far)) + self.reg_weight * l2_penalty(user, near, far)
        if self.cl_weight:
            for rows in place.chunk(3)[:2]:
                loss = loss + self.cl_weight * contrast(side[rows], behaviour[rows], self.temperature)
        return loss
