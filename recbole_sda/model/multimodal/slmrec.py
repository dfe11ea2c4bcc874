"""SLMRec: self-supervision between the modalities of an item (Tao et al., IEEE Transactions on Multimedia 2022)."""

from typing import Any, List, Tuple

import torch
from torch import Tensor, nn

from recbole_sda.graphs.user_item import light_gcn, symmetric_graph
from recbole_sda.layers.normalize import normalize_rows
from recbole_sda.losses.infonce import infonce_loss
from recbole_sda.model.multimodal.base import MultimodalRecommender


class SLMRec(MultimodalRecommender):
    """Self-supervised Learning for Multimedia Recommendation (Tao et al., IEEE Transactions on Multimedia 2022).

    LightGCN runs in one channel of ids and one per modality. A channel starts from the user embeddings and the items' id
    embeddings or ``W_m unit(x_m) + b_m`` (zero where an item lacks the modality). The channels are concatenated and mapped, by one
    linear map for users and one for items. The main loss is InfoNCE in the batch: each user finds its item among the batch's
    items by cosine similarity over ``temperature``.

    Self-supervision is the paper's task "fine and coarse". Along the chain ids, first modality, second modality, ..., the vector of
    an item at one step finds the item's next modality among those of the batch. Each step has its own space; with several
    modalities the last one has half the width:

        z_0 = G_0 e_id      InfoNCE(z_m, G'_m e_m) for each m      z_(m+1) = G_(m+1) z_m

    A step leaves out the items that lack its modality.

    Note:
        The paper's other tasks (dropout and masking of features) are not implemented. The vectors of self-supervision are not
        normalised, as in the authors' code.
    """

    def __init__(self, config: Any, dataset: Any):
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
        items = [linear(normalize_rows(x)) * mask for linear, x, mask in zip(self.maps, self.item_features(), present)]
        users = self.user_embedding.weight
        starts = [torch.cat([users, of_items]) for of_items in (self.item_embedding.weight, *items)]
        return [light_gcn(self.graph, start, self.n_layers) for start in starts]

    def embeddings(self) -> Tuple[Tensor, Tensor]:
        """Return the merged channels of all users and items."""
        users, items = zip(*(self.split_nodes(channel) for channel in self.channels()))
        return self.merge_users(torch.cat(users, dim=1)), self.merge_items(torch.cat(items, dim=1))

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return the loss of a batch of (user, item) pairs."""
        users, items = interaction[self.USER_ID], interaction[self.ITEM_ID]
        channels = self.channels()
        of_users, of_items = ([channel[nodes] for channel in channels] for nodes in (users, items + self.n_users))
        user, item = self.merge_users(torch.cat(of_users, dim=1)), self.merge_items(torch.cat(of_items, dim=1))
        loss = infonce_loss(user, item, self.temperature)
        z, *modalities = of_items
        for m, (x, step, side) in enumerate(zip(modalities, self.chain, self.sides)):
            z = step(z)
            present = self.item_features.present[m, items]
            if self.ssl_weight and present.sum() > 1:
                term = infonce_loss(z[present], side(x[present]), self.ssl_temperature, normalize=False)
                loss = loss + self.ssl_weight * term
        return loss
