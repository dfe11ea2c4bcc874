"""VBPR: matrix factorisation with a second set of factors from item features (He and McAuley, AAAI 2016)."""

import torch
from torch import nn

from recbole_sda.model.multimodal.base import MultimodalRecommender, score, squared


class VBPR(MultimodalRecommender):
    """The paper's preference predictor, with the parts left out that cancel between a user's items (offset and user bias):

        x_ui = beta_i + gamma_u . gamma_i + theta_u . (E f_i) + beta' . f_i

    f_i is the concatenation of the item's modalities, zero where one is missing; E and beta' are kept as one map per
    modality. Trained by BPR with L2 regularisation of the batch's rows.

    Note:
        The paper has one feature of pictures, and weights of its own for the regularisation of E and of the biases; here
        ``reg_weight`` holds for embeddings and biases alike, and E is not regularised.
    """

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.reg_weight = self.number("reg_weight", 0)
        self.user_embedding = self._table(self.n_users, 2 * self.embedding_size)  # gamma, then theta
        self.item_bias = nn.Embedding(self.n_items, 1)
        nn.init.zeros_(self.item_bias.weight)
        self.maps = nn.ModuleList(nn.Linear(dim, self.embedding_size, bias=False) for dim in self.item_features.dims)
        self.feature_bias = nn.ModuleList(nn.Linear(dim, 1, bias=False) for dim in self.item_features.dims)
        for linear in self.maps:
            nn.init.xavier_uniform_(linear.weight)
        for linear in self.feature_bias:
            nn.init.zeros_(linear.weight)

    def _items(self, ids=None):
        """Return gamma_i, E f_i and the two biases' sum of item ids, or of all items."""
        features = self.item_features(ids)
        ids = torch.arange(self.n_items, device=self.device) if ids is None else ids
        mapped = sum(linear(x) for linear, x in zip(self.maps, features))
        bias = self.item_bias(ids) + sum(linear(x) for linear, x in zip(self.feature_bias, features))
        return self.item_embedding(ids), mapped, bias

    def embeddings(self):
        users = self.user_embedding.weight
        return torch.cat([users, users.new_ones(self.n_users, 1)], dim=1), torch.cat(self._items(), dim=1)

    def calculate_loss(self, interaction):
        users, positive, negative = self.triple(interaction)
        user, ids = self.user_embedding(users), torch.cat([positive, negative])
        own, mapped, bias = self._items(ids)
        near, far = torch.cat([own, mapped], dim=1).chunk(2)
        margin = score(user, near - far) + (bias[: len(users)] - bias[len(users) :]).squeeze(1)
        rows = user, *own.chunk(2), *self.item_bias(ids).chunk(2)
        return self.bpr(margin, torch.zeros_like(margin)) + self.reg_weight * squared(*rows)
