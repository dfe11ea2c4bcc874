"""BM3: bootstrapped latent representations without negative items (Zhou et al., WWW 2023)."""

from typing import Any, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.graphs.user_item import light_gcn, symmetric_graph
from recbole_sda.model.multimodal.base import MultimodalRecommender


def distance(online: Tensor, target: Tensor) -> Tensor:
    """Return the mean of ``1 - cos`` of the rows of two matrices (n, dim); no gradient reaches the target.

    Example:
        >>> distance(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])).item()
        1.0
    """
    return (1 - F.cosine_similarity(online, target.detach(), dim=-1)).mean()


class BM3(MultimodalRecommender):
    """Bootstrap Latent Representations for Multi-modal Recommendation (Zhou et al., WWW 2023): no negative items.

    h_u, h_i are LightGCN's results for the id embeddings, an item's own embedding added to its result; h_m = W_m f_m + b_m.
    Each has two views, as the paper names them. The online view is o(h) = W h + b, one linear map for all. The target view is
    t(h) = dropout(h), a constant for the gradient. The loss, with C = 1 - cos:

        C(o(h_u), t(h_i)) + C(o(h_i), t(h_u)) + cl_weight * sum_m ( C(o(h_m), t(h_i)) + C(o(h_m), t(h_m)) ) + reg_weight * |h|

    These are the paper's terms for the reconstruction of the graph, the alignment between modalities and the alignment inside
    each. A modality's terms leave out the items that lack it. Scores are products of o(h_u) and o(h_i).

    Note:
        As in the authors' code, the last term is the norm of all users' plus that of all items' embeddings, divided by the number
        of items, all without the padding row; ``cl_weight`` multiplies the modalities' terms; and C is 1 - cos (-cos in the paper,
        with the same gradient). That code also trains the features f_m; here they are frozen.
    """

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.n_layers = self.number("n_layers", 0, whole=True)
        self.reg_weight, self.cl_weight = self.number("reg_weight", 0), self.number("cl_weight", 0)
        self.dropout = self.number("dropout", 0, 1)
        self.graph = symmetric_graph(self.edges)
        self.predictor = nn.Linear(self.embedding_size, self.embedding_size)
        self.maps = nn.ModuleList(nn.Linear(dim, self.embedding_size) for dim in self.item_features.dims)
        for linear in (self.predictor, *self.maps):
            nn.init.xavier_normal_(linear.weight)

    def propagate(self) -> Tuple[Tensor, Tensor]:
        """Return h_u (n_users, dim) and h_i (n_items, dim)."""
        user, item = self.split_nodes(light_gcn(self.graph, self.nodes(), self.n_layers))
        return user, item + self.item_embedding.weight

    def embeddings(self) -> Tuple[Tensor, Tensor]:
        """Return the online views of all users and items."""
        user, item = self.propagate()
        return self.predictor(user), self.predictor(item)

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return the loss of a batch of (user, item) pairs."""
        users, items = interaction[self.USER_ID], interaction[self.ITEM_ID]
        all_users, all_items = self.propagate()
        user, item = all_users[users], all_items[items]
        target_user, target_item = (F.dropout(h.detach(), self.dropout) for h in (user, item))
        loss = distance(self.predictor(user), target_item) + distance(self.predictor(item), target_user)
        for m, (x, linear) in enumerate(zip(self.item_features(items), self.maps)):
            present = self.item_features.present[m, items]
            if self.cl_weight and present.any():
                h = linear(x[present])
                online, target = self.predictor(h), F.dropout(h.detach(), self.dropout)
                loss = loss + self.cl_weight * (distance(online, target_item[present]) + distance(online, target))
        norms = torch.linalg.vector_norm(all_users[1:]) + torch.linalg.vector_norm(all_items[1:])  # row 0 is padding
        return loss + self.reg_weight * norms / (self.n_items - 1)
