"""What MGCN and SMORE share: a behaviour view, one view per item graph, and a contrastive term between behaviour and side view."""

from typing import Any, List, Optional, Tuple

import torch
from torch import Tensor, nn

from recbole_sda.graphs.user_item import light_gcn, symmetric_graph, users_from_items
from recbole_sda.losses.infonce import infonce_loss
from recbole_sda.model.multimodal.base import MultimodalRecommender, l2_penalty, score


def gate(dim: int) -> nn.Sequential:
    """Return a layer that computes ``sigmoid(W x + b)``, from (n, dim) to (n, dim)."""
    return nn.Sequential(nn.Linear(dim, dim), nn.Sigmoid())


class ViewRecommender(MultimodalRecommender):
    """Embedding = behaviour view + side view. Behaviour is LightGCN of the id embeddings; a subclass fuses its views to the side.

    The loss is BPR, L2 regularisation of the batch's embeddings, and InfoNCE between the behaviour and the side view of the batch's
    items and of its users.

    Attributes:
        graphs: the item graph of each view. Set by the subclass.
        present_nodes: (n_modalities, n_nodes, 1), bool; which nodes have a modality. Users have all of them.
    """

    graphs: nn.ModuleList
    present_nodes: Tensor

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        dim, n_modalities = self.embedding_size, len(self.modality_names)
        self.n_ui_layers, self.n_layers = (self.number(key, 0, whole=True) for key in ("n_ui_layers", "n_layers"))
        self.reg_weight, self.cl_weight = self.number("reg_weight", 0), self.number("cl_weight", 0)
        self.temperature = self.number("temperature", 0, above=True)
        self.graph = symmetric_graph(self.edges)
        present = self.item_features.present
        present = torch.cat([present.new_ones(n_modalities, self.n_users), present], dim=1)
        self.register_buffer("present_nodes", present.unsqueeze(-1), persistent=False)
        self.to_users = users_from_items(self.edges, "symmetric")
        self.maps = nn.ModuleList(nn.Linear(size, dim) for size in self.item_features.dims)
        self.gates = nn.ModuleList(gate(dim) for _ in range(n_modalities))
        self.preferences = nn.ModuleList(gate(dim) for _ in range(n_modalities))

    def mapped(self) -> List[Tensor]:
        """Return the features in the space of the embeddings, one matrix (n_items, dim) per modality."""
        return [linear(x) for linear, x in zip(self.maps, self.item_features())]

    def item_views(self) -> List[Tensor]:
        """Return the input of each view's item graph, each (n_items, dim)."""
        raise NotImplementedError

    def side(self, behaviour: Tensor, views: Tensor, present: Tensor) -> Tensor:
        """Return the side view of some nodes, (n, dim), row by row.

        Args:
            behaviour: their behaviour view, (n, dim).
            views: their other views, (n_views, n, dim).
            present: (n_modalities, n, 1), bool; which of them have a modality.
        """
        raise NotImplementedError

    def views(self) -> List[Tensor]:
        """Return each view over all nodes, (n_nodes, dim): of items over their graph, of users from their items."""
        items = self.item_views()
        for _ in range(self.n_layers):
            items = [graph(x) for graph, x in zip(self.graphs, items)]
        return [torch.cat([self.to_users(x), x]) for x in items]

    def behaviour_and_side(self, nodes: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
        """Return the behaviour and the side view of nodes (n,), or of all nodes, each (n, dim).

        The graphs need all nodes; the side view is computed for ``nodes`` only.
        """
        behaviour, views = light_gcn(self.graph, self.nodes(), self.n_ui_layers), self.views()
        present = self.present_nodes
        if nodes is not None:
            behaviour, views, present = behaviour[nodes], [view[nodes] for view in views], present[:, nodes]
        return behaviour, self.side(behaviour, torch.stack(views), present)

    def embeddings(self) -> Tuple[Tensor, Tensor]:
        """Return the sums of both views of all users and items."""
        behaviour, side = self.behaviour_and_side()
        return self.split_nodes(behaviour + side)

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return the loss of a batch of (user, item, negative item) triples."""
        users, positive, negative = self.bpr_triple(interaction)
        batch_nodes = torch.cat([users, positive + self.n_users, negative + self.n_users])
        nodes, position = batch_nodes.unique(return_inverse=True)
        behaviour, side = self.behaviour_and_side(nodes)
        user, positive_item, negative_item = ((behaviour + side)[rows] for rows in position.chunk(3))
        loss = self.bpr(score(user, positive_item), score(user, negative_item))
        loss = loss + self.reg_weight * l2_penalty(user, positive_item, negative_item)
        if self.cl_weight:
            for rows in position.chunk(3)[:2]:
                loss = loss + self.cl_weight * infonce_loss(side[rows], behaviour[rows], self.temperature)
        return loss
