"""MMGCN: one graph convolution per modality, summed (Wei et al., ACM MM 2019)."""

import torch
from torch import nn
from torch.nn import functional as F

from recbole_sda.graphs.user_item import mean_graph
from recbole_sda.layers.normalize import normalize_rows
from recbole_sda.model.multimodal.base import MultimodalRecommender, score


class Layer(nn.Module):
    """Aggregation and combination of a modality (the paper's sections of these names), from (n_nodes, in_dim) to (n_nodes, dim).

    h = LeakyReLU(mean over neighbours of W1 x)    x^ = LeakyReLU(W2 x) + id    LeakyReLU(W3 (h || x^))
    """

    def __init__(self, in_dim: int, dim: int):
        super().__init__()
        self.neighbours = nn.Linear(in_dim, dim, bias=False)
        self.own = nn.Linear(in_dim, dim)
        self.combine = nn.Linear(2 * dim, dim)
        for linear in (self.neighbours, self.own, self.combine):
            nn.init.xavier_normal_(linear.weight)

    def forward(self, graph, x, ids):
        h = F.leaky_relu(graph(self.neighbours(x)))
        own = F.leaky_relu(self.own(x)) + ids
        return F.leaky_relu(self.combine(torch.cat([h, own], dim=1)))


class MMGCN(MultimodalRecommender):
    """A user and an item are the sums over modalities of what the modality's graph convolution makes of them.

    A modality starts from the item's features and a learned preference of each user in the same space, rows at unit
    length; the id embeddings, shared by modalities, join in every layer. Features wider than ``latent_size`` are mapped to
    it first, which the authors' code does with pictures. An item that lacks a modality starts from zero and takes what its
    users bring. Trained by BPR.

    Note:
        The authors' code, and MMRec's after it, hands neither the id embeddings nor the preferences to the optimiser and
        averages over modalities; here both are trained, and the modalities summed, as in the paper.
    """

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.reg_weight = self.number("reg_weight", 0)
        n_layers, latent = self.number("n_layers", 1, whole=True), self.number("latent_size", 1, whole=True)
        self.graph = mean_graph(self.edges)
        self.narrow, self.preferences, self.layers = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for dim in self.item_features.dims:
            wide = min(dim, latent)
            self.narrow.append(nn.Linear(dim, wide) if dim > latent else nn.Identity())
            self.preferences.append(self._table(self.n_users, wide))
            sizes = [wide] + [self.embedding_size] * n_layers
            self.layers.append(nn.ModuleList(Layer(a, b) for a, b in zip(sizes, sizes[1:])))

    def embeddings(self):
        ids, total = self.nodes(), 0
        starts = zip(self.item_features(), self.narrow, self.item_features.present)
        for (x, narrow, present), preference, layers in zip(starts, self.preferences, self.layers):
            x = normalize_rows(torch.cat([preference.weight, narrow(x) * present.unsqueeze(1)]))
            for layer in layers:
                x = layer(self.graph, x, ids)
            total = total + x
        return self.parts(total)

    def calculate_loss(self, interaction):
        users, positive, negative = self.bpr_triple(interaction)
        user, item = self.embeddings()
        loss = self.bpr(score(user[users], item[positive]), score(user[users], item[negative]))
        rows = torch.cat([self.user_embedding(users), self.item_embedding(positive), self.item_embedding(negative)])
        size = rows.square().mean() + sum(table(users).square().mean() for table in self.preferences)
        return loss + self.reg_weight * size
