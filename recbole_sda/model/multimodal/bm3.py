"""BM3: bootstrapped latent representations without negative items (Zhou et al., WWW 2023)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.graphs.user_item import light_gcn, symmetric_graph
from recbole_sda.model.multimodal.base import MultimodalRecommender


def distance(x: Tensor, target: Tensor) -> Tensor:
    """Return the mean of ``1 - cos`` of rows; the target is a constant for the gradient."""
    return (1 - F.cosine_similarity(x, target.detach(), dim=-1)).mean()


class BM3(MultimodalRecommender):
    """Users and items are drawn towards each other's dropped-out copies; no item serves as negative.

    h_u, h_i: LightGCN of the id embeddings, an item's own embedding added to its result. h_m = W_m f_m + b_m.
    ~h = MLP(h) with one linear map for all, .h = dropout of h without gradient. The loss, with C = 1 - cos:

        C(~h_u, .h_i) + C(~h_i, .h_u) + cl_weight * sum_m ( C(~h_m, .h_i) + C(~h_m, .h_m) ) + reg_weight * |h|

    in the paper's section on the multi-modal contrastive loss: reconstruction of the graph, alignment between modalities and
    inside each. An item that lacks a modality is left out of its terms. Scores are products of ~h_u and ~h_i.

    Note:
        As in the authors' code, the last term is the norm of all users' and all items' embeddings over the number of items,
        ``cl_weight`` stands before the terms of the modalities, and C is 1 - cos (-cos in the paper, the same gradient). That code
        trains the features along; here they are frozen.
    """

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.n_layers = self.number("n_layers", 0, whole=True)
        self.reg_weight, self.cl_weight = self.number("reg_weight", 0), self.number("cl_weight", 0)
        self.dropout = self.number("dropout", 0, 1)
        self.graph = symmetric_graph(self.edges)
        self.predictor = nn.Linear(self.embedding_size, self.embedding_size)
        self.maps = nn.ModuleList(nn.Linear(dim, self.embedding_size) for dim in self.item_features.dims)
        for linear in (self.predictor, *self.maps):
            nn.init.xavier_normal_(linear.weight)

    def propagate(self):
        """Return h_u (n_users, dim) and h_i (n_items, dim)."""
        user, item = self.parts(light_gcn(self.graph, self.nodes(), self.n_layers))
        return user, item + self.item_embedding.weight

    def embeddings(self):
        user, item = self.propagate()
        return self.predictor(user), self.predictor(item)

    def calculate_loss(self, interaction):
        users, items = interaction[self.USER_ID], interaction[self.ITEM_ID]
        all_users, all_items = self.propagate()
        user, item = all_users[users], all_items[items]
        far_user, far_item = (F.dropout(x.detach(), self.dropout) for x in (user, item))
        loss = distance(self.predictor(user), far_item) + distance(self.predictor(item), far_user)
        for m, (x, linear) in enumerate(zip(self.item_features(items), self.maps)):
            there = self.item_features.present[m, items]
            if self.cl_weight and there.any():
                h = linear(x[there])
                near = self.predictor(h)
                far = F.dropout(h.detach(), self.dropout)
                loss = loss + self.cl_weight * (distance(near, far_item[there]) + distance(near, far))
        norms = torch.linalg.vector_norm(all_users) + torch.linalg.vector_norm(all_items)
        return loss + self.reg_weight * norms / self.n_items
