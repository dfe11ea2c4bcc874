"""MGCN: features purified by behaviour, views of each modality, and a fuser guided by behaviour (Yu et al., ACM MM 2023)."""

from typing import Any, List

import torch
from torch import Tensor, nn

from recbole_sda.graphs.sparse import SparseMatrix
from recbole_sda.model.multimodal.view_recommender import ViewRecommender


class MGCN(ViewRecommender):
    """Multi-View Graph Convolutional Network for Multimedia Recommendation (Yu et al., ACM MM 2023).

    Behaviour-guided purifier, multi-view information encoder and behaviour-aware fuser (the paper's sections):

        e_m = id * sigmoid(W2 (W1 x_m + b1) + b2), propagated over the item graph of m, then to users
        a = softmax over modalities of q . tanh(W4 e_m + b4)      shared = sum_m a_m e_m
        side = ( shared + sum_m sigmoid(W3m behaviour + b3m) * (e_m - shared) ) / (1 + n_modalities)

    An item that lacks a modality has no view of it; the softmax and the sum leave it out.

    Note:
        The division is that of the authors' code (by 3 for their two modalities); the paper divides the sum by the number of
        modalities and ``shared`` not at all. That code also trains the features; here they are frozen.
    """

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.graphs = nn.ModuleList(SparseMatrix(graph) for graph in self.item_graphs(weighted=True))
        dim = self.embedding_size
        self.query = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 1, bias=False))

    def item_views(self) -> List[Tensor]:
        """Return the id embeddings gated by the features of each modality, zero where an item lacks it."""
        ids, present = self.item_embedding.weight, self.item_features.present.unsqueeze(-1)
        return [ids * gate(x) * mask for x, gate, mask in zip(self.mapped(), self.gates, present)]

    def side(self, behaviour: Tensor, views: Tensor, present: Tensor) -> Tensor:
        """Return what the views share plus what behaviour selects of each, see the class."""
        weights = self.query(views)
        weights = weights.masked_fill(~present, torch.finfo(weights.dtype).min).softmax(dim=0)
        shared = (weights * views).sum(dim=0)
        preferences = torch.stack([preference(behaviour) for preference in self.preferences])
        specific = (preferences * (views - shared) * present).sum(dim=0)
        return (shared + specific) / (1 + len(views))
