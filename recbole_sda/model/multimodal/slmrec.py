"""SLMRec: self-supervision between the modalities of an item (Tao et al., IEEE Transactions on Multimedia 2022)."""

from typing import List

import torch
from torch import Tensor, nn

from recbole_sda.graphs.user_item import light_gcn, symmetric_graph
from recbole_sda.layers.normalize import normalize_rows
from recbole_sda.losses.contrast import contrast
from recbole_sda.model.multimodal.base import MultimodalRecommender


class SLMRec(MultimodalRecommender):
    """LightGCN in one channel of ids and one per modality, concatenated and mapped; trained by InfoNCE in the batch.

    A channel starts from the user embeddings and the id embeddings or ``W_m unit(x_m) + b_m`` of items (zero where an item
    lacks the modality). Users and items have a linear map each after the concatenation. The main loss tells a user's item
    from the batch's other items by cosine similarity over ``temperature``. Self-supervision is the paper's task "fine and
    coarse": along the chain ids, first modality, second, ... an item's vector so far is to find its next modality among
    those of the batch, in spaces of its own, with several modalities the last one of half the width:

        z_0 = G_0 e_id      contrast(z_m, G'_m e_m) for each m      z_(m+1) = G_(m+1) z_m

    Items that lack the modality are left out of its step.

    Note:
        The paper's other tasks (dropout and masking of features) are not here. The vectors of self-supervision are not
        normalised, as in the authors' code.
    """

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        dim, n = self.embedding_size, len(self.modality_names)
        self.n_layers = self.number("n_layers", 0, whole=True)
        self.temperature, self.ssl_temperature = (
            self.number(key, 0, above=True) for key in ("temperature", "ssl_temperature")
        )
        self.ssl_weight = self.number("ssl_weight", 0)
        self.graph = symmetric_graph(self.edges)
        self.maps = nn.ModuleList(nn.Linear(size, dim) for size in self.item_features.dims)
        self.merge_users, self.merge_items = nn.Linear((n + 1) * dim, dim), nn.Linear((n + 1) * dim, dim)
        widths = [dim] * n + [max(1, dim // 2)] if n > 1 else [dim, dim]
        self.chain = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.sides = nn.ModuleList(nn.Linear(dim, width) for width in widths[1:])
        for linear in (*self.maps, self.merge_users, self.merge_items, *self.chain, *self.sides):
            nn.init.xavier_uniform_(linear.weight)

    def channels(self) -> List[Tensor]:
        """Return the channels after propagation, ids first, each (n_nodes, dim)."""
        present = self.item_features.present.unsqueeze(-1)
        items = [linear(normalize_rows(x)) * has for linear, x, has in zip(self.maps, self.item_features(), present)]
        users = self.user_embedding.weight
        starts = [torch.cat([users, of_items]) for of_items in (self.item_embedding.weight, *items)]
        return [light_gcn(self.graph, start, self.n_layers) for start in starts]

    def embeddings(self):
        users, items = zip(*(self.parts(channel) for channel in self.channels()))
        return self.merge_users(torch.cat(users, dim=1)), self.merge_items(torch.cat(items, dim=1))

    def calculate_loss(self, interaction):
        users, items = interaction[self.USER_ID], interaction[self.ITEM_ID]
        channels = self.channels()
        of_users, of_items = ([channel[nodes] for channel in channels] for nodes in (users, items + self.n_users))
        user, item = self.merge_users(torch.cat(of_users, dim=1)), self.merge_items(torch.cat(of_items, dim=1))
        loss = contrast(user, item, self.temperature)
        z, *modalities = of_items
        for m, (x, along, side) in enumerate(zip(modalities, self.chain, self.sides)):
            z = along(z)
            there = self.item_features.present[m, items]
            if self.ssl_weight and there.sum() > 1:
                term = contrast(z[there], side(x[there]), self.ssl_temperature, normalize=False)
                loss = loss + self.ssl_weight * term
        return loss
