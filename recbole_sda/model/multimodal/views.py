"""What MGCN and SMORE share: a view of behaviour, one view per item graph, and a contrastive term between the two."""

from typing import List

import torch
from torch import Tensor, nn

from recbole_sda.graphs.user_item import light_gcn, symmetric_graph, users_from_items
from recbole_sda.losses.contrast import contrast
from recbole_sda.model.multimodal.base import MultimodalRecommender, score, squared


def gate(dim: int) -> nn.Sequential:
    """Return ``sigmoid(W x + b)``."""
    return nn.Sequential(nn.Linear(dim, dim), nn.Sigmoid())


class ViewRecommender(MultimodalRecommender):
    """Embedding = behaviour view + side view. Behaviour is LightGCN of the id embeddings; a subclass makes the side of it.

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
        self.to_users = users_from_items(self.edges, "symmetric")
        self.maps = nn.ModuleList(nn.Linear(size, dim) for size in self.item_features.dims)
        self.gates = nn.ModuleList(gate(dim) for _ in range(n_modalities))
        self.preferences = nn.ModuleList(gate(dim) for _ in range(n_modalities))

    def there(self) -> Tensor:
        """Return which nodes have a modality, (n_modalities, n_nodes, 1): users all, items by their features."""
        present = self.item_features.present
        return torch.cat([present.new_ones(len(present), self.n_users), present], dim=1).unsqueeze(-1)

    def mapped(self) -> List[Tensor]:
        """Return the features in the space of the embeddings, one matrix (n_items, dim) per modality."""
        return [linear(x) for linear, x in zip(self.maps, self.item_features())]

    def views(self, items: List[Tensor], graphs) -> List[Tensor]:
        """Return each view over all nodes, (n_nodes, dim): items over their graph, users from their items."""
        for _ in range(self.n_layers):
            items = [graph(x) for graph, x in zip(graphs, items)]
        users = self.to_users(torch.cat(items, dim=1)).chunk(len(items), dim=1)
        return [torch.cat(pair) for pair in zip(users, items)]

    def side(self, behaviour: Tensor) -> Tensor:
        """Return the side view of all nodes, (n_nodes, dim)."""
        raise NotImplementedError

    def both(self):
        """Return the behaviour and the side view of all nodes."""
        behaviour = light_gcn(self.graph, self.nodes(), self.n_ui_layers)
        return behaviour, self.side(behaviour)

    def embeddings(self):
        return self.parts(sum(self.both()))

    def calculate_loss(self, interaction):
        users, positive, negative = self.triple(interaction)
        behaviour, side = self.both()
        all_users, all_items = self.parts(behaviour + side)
        user, near, far = all_users[users], all_items[positive], all_items[negative]
        loss = self.bpr(score(user, near), score(user, far)) + self.reg_weight * squared(user, near, far)
        if self.cl_weight:
            for nodes in (positive + self.n_users, users):
                loss = loss + self.cl_weight * contrast(side[nodes], behaviour[nodes], self.temperature).mean()
        return loss
