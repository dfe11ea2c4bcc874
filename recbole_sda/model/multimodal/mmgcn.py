"""MMGCN: one graph convolution per modality, summed (Wei et al., ACM MM 2019)."""

from functools import reduce
from typing import Any, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.graphs.sparse import SparseMatrix
from recbole_sda.graphs.user_item import mean_graph
from recbole_sda.layers.normalize import normalize_rows
from recbole_sda.model.multimodal.base import MultimodalRecommender, score


class Layer(nn.Module):
    """Aggregation and combination of a modality (the paper's sections of these names), from (n_nodes, in_dim) to (n_nodes, dim).

        h = LeakyReLU(mean over neighbours of W1 x)    x^ = LeakyReLU(W2 x) + id    LeakyReLU(W3 (h || x^))

    Args:
        in_dim: width of the input.
        dim: width of the output and of the id embeddings.
    """

    def __init__(self, in_dim: int, dim: int):
        super().__init__()
        self.neighbours = nn.Linear(in_dim, dim, bias=False)
        self.own = nn.Linear(in_dim, dim)
        self.combine = nn.Linear(2 * dim, dim)
        for linear in (self.neighbours, self.own, self.combine):
            nn.init.xavier_normal_(linear.weight)

    def forward(self, graph: SparseMatrix, x: Tensor, ids: Tensor) -> Tensor:
        """Map x (n_nodes, in_dim) over a graph of neighbours' means, with the id embeddings (n_nodes, dim)."""
        h = F.leaky_relu(graph(self.neighbours(x)))
        own = F.leaky_relu(self.own(x)) + ids
        return F.leaky_relu(self.combine(torch.cat([h, own], dim=1)))


class MMGCN(MultimodalRecommender):
    """Multi-modal Graph Convolution Network for Personalized Recommendation of Micro-video (Wei et al., ACM MM 2019).

    The embedding of a user or an item is the sum over modalities of the output of the modality's layers (:class:`Layer`).
    Their input is the items' features and a learned preference of each user in the same space, with rows at unit length; the id
    embeddings, shared by all modalities, enter every layer. Features wider than ``latent_size`` are first mapped to it, as the
    authors' code does for image features. An item that lacks a modality starts from zero and receives what its users pass on.
    Trained by BPR with L2 regularisation.

    Note:
        The authors' code, and MMRec's after it, passes neither the id embeddings nor the preferences to the optimizer and averages
        over modalities; here both are trained, and modalities are summed, as in the paper. Both codes have three layers whatever
        their key says (the default here is two), the first aggregation keeps the width of its input, which only the combination
        narrows (here W1 narrows it), and only image features are mapped to 256 values (here all that are wider).
    """

    preferences: Any  # nn.ModuleList of nn.Embedding, one per modality
    layers: Any  # nn.ModuleList of one nn.ModuleList of Layer per modality

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.reg_weight = self.number("reg_weight", 0)
        n_layers, latent = self.number("n_layers", 1, whole=True), self.number("latent_size", 1, whole=True)
        self.graph = mean_graph(self.edges)
        self.narrow, self.preferences, self.layers = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for dim in self.item_features.dims:
            width = min(dim, latent)
            self.narrow.append(nn.Linear(dim, width) if dim > latent else nn.Identity())
            self.preferences.append(self._table(self.n_users, width))
            sizes = [width] + [self.embedding_size] * n_layers
            self.layers.append(nn.ModuleList(Layer(a, b) for a, b in zip(sizes, sizes[1:])))

    def embeddings(self) -> Tuple[Tensor, Tensor]:
        """Return the sums over modalities of all users and items."""
        ids, outputs = self.nodes(), []
        starts = zip(self.item_features(), self.narrow, self.item_features.present)
        for (x, narrow, present), preference, layers in zip(starts, self.preferences, self.layers):
            x = normalize_rows(torch.cat([preference.weight, narrow(x) * present.unsqueeze(1)]))
            for layer in layers:
                x = layer(self.graph, x, ids)
            outputs.append(x)
        return self.split_nodes(reduce(torch.add, outputs))

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return the loss of a batch of (user, item, negative item) triples."""
        users, positive, negative = self.bpr_triple(interaction)
        user, item = self.embeddings()
        loss = self.bpr(score(user[users], item[positive]), score(user[users], item[negative]))
        rows = torch.cat([self.user_embedding(users), self.item_embedding(positive), self.item_embedding(negative)])
        squares = rows.square().mean() + sum(table(users).square().mean() for table in self.preferences)
        return loss + self.reg_weight * squares
