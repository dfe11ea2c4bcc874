"""MGCN: features purified by behaviour, views of each modality, and a fuser guided by behaviour (Yu et al., ACM MM 2023)."""

import torch
from torch import nn

from recbole_sda.graphs.sparse import SparseMatrix
from recbole_sda.model.multimodal.view_recommender import ViewRecommender


class MGCN(ViewRecommender):
    """Behaviour-guided purifier, multi-view information encoder and behaviour-aware fuser, as the paper's sections are named:

        e_m = id * sigmoid(W2 (W1 x_m + b1) + b2), over the item graph of m, then to users
        a = softmax over modalities of q . tanh(W4 e_m + b4)      shared = sum_m a_m e_m
        side = ( shared + sum_m sigmoid(W3m behaviour + b3m) * (e_m - shared) ) / (1 + n_modalities)

    An item that lacks a modality has no such view, and the softmax and the sum leave it out.

    Note:
        The division is that of the authors' code, for their two modalities by 3; the paper divides the sum by the number of
        modalities and ``shared`` not at all. That code also trains the features along; here they are frozen.
    """

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.graphs = nn.ModuleList(SparseMatrix(graph) for graph in self.item_graphs(weighted=True))
        dim = self.embedding_size
        self.query = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 1, bias=False))

    def item_views(self):
        ids, present = self.item_embedding.weight, self.item_features.present.unsqueeze(-1)
        return [ids * gate(x) * has for x, gate, has in zip(self.mapped(), self.gates, present)]

    def side(self, behaviour, views, there):
        weights = self.query(views)
        weights = weights.masked_fill(~there, torch.finfo(weights.dtype).min).softmax(dim=0)
        shared = (weights * views).sum(dim=0)
        prefer = torch.stack([preference(behaviour) for preference in self.preferences])
        own = (prefer * (views - shared) * there).sum(dim=0)
        return (shared + own) / (1 + len(views))
