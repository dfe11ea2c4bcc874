"""VBPR: matrix factorisation with a second set of factors from item features (He and McAuley, AAAI 2016)."""

import torch
from torch import nn

from recbole_sda.model.multimodal.base import MultimodalRecommender, l2_penalty, score


class VBPR(MultimodalRecommender):
    """The paper's preference predictor, with the parts left out that cancel between a user's items (offset and user bias):

        x_ui = beta_i + gamma_u . gamma_i + theta_u . (E f_i) + beta' . f_i

    f_i is the concatenation of the item's modalities, zero where one is missing; E and beta' are kept as one map per
    modality. Trained by BPR with L2 regularisation of the batch's rows.

    Note:
        The paper has one feature of pictures, and weights of their own for the regularisation of embeddings, E and beta'.
        Here ``reg_weight`` holds for the batch's embeddings and item biases; E is not regularised, as in the paper's own
        experiments, nor is beta'.
    """

    user_factors = 2  # gamma and theta

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.reg_weight = self.number("reg_weight", 0)
        self.item_bias = nn.Embedding(self.n_items, 1)
        nn.init.zeros_(self.item_bias.weight)
        self.maps = nn.ModuleList(nn.Linear(dim, self.embedding_size, bias=False) for dim in self.item_features.dims)
        self.feature_bias = nn.ModuleList(nn.Linear(dim, 1, bias=False) for dim in self.item_features.dims)
        for linear in self.maps:
            nn.init.xavier_uniform_(linear.weight)
        for linear in self.feature_bias:
            nn.init.zeros_(linear.weight)

    def _mapped(self, features):
        """Return E f and beta' . f of rows of features, (n, embedding_size) and (n, 1)."""
        return tuple(sum(linear(x) for linear, x in zip(maps, features)) for maps in (self.maps, self.feature_bias))

    def embeddings(self):
        users = self.user_embedding.weight
        mapped, bias = self._mapped(self.item_features())
        items = [self.item_embedding.weight, mapped, self.item_bias.weight + bias]
        return torch.cat([users, users.new_ones(self.n_users, 1)], dim=1), torch.cat(items, dim=1)

    def calculate_loss(self, interaction):
        users, positive, negative = self.bpr_triple(interaction)
        ids = torch.cat([positive, negative])
        user = self.user_embedding(users)
        near, far = self.item_embedding(ids).chunk(2)
        near_bias, far_bias = self.item_bias(ids).chunk(2)
        # The maps are linear: that of the difference is the difference of two maps, at half the price.
        differences = [torch.sub(*x.chunk(2)) for x in self.item_features(ids)]
        mapped, bias = self._mapped(differences)
        margin = score(user, torch.cat([near - far, mapped], dim=1)) + (near_bias - far_bias + bias).squeeze(1)
        rows = user, near, far, near_bias, far_bias
        return self.bpr(margin, torch.zeros_like(margin)) + self.reg_weight * l2_penalty(*rows)
