"""VBPR: matrix factorisation with a second set of factors from item features (He and McAuley, AAAI 2016)."""

from functools import reduce
from typing import Any, List, Sequence, Tuple

import torch
from torch import Tensor, nn

from recbole_sda.model.multimodal.base import MultimodalRecommender, l2_penalty, score


class VBPR(MultimodalRecommender):
    """Visual Bayesian Personalized Ranking from Implicit Feedback (He and McAuley, AAAI 2016).

    The paper's preference predictor without offset and user bias, which cancel between two items of a user:

        x_ui = beta_i + gamma_u . gamma_i + theta_u . (E f_i) + beta' . f_i

    f_i is the concatenation of the item's modalities, zero where one is missing; E and beta' are stored as one map per modality.
    Trained by BPR with L2 regularisation of the batch's rows.

    Note:
        The paper has one image feature, and separate regularisation weights for the embeddings, E and beta'. Here ``reg_weight``
        applies to the batch's embeddings and item biases. E is not regularised, as in the paper's own experiments; nor is beta'.
    """

    user_factors = 2  # gamma and theta

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.reg_weight = self.number("reg_weight", 0)
        self.item_bias = nn.Embedding(self.n_items, 1)
        nn.init.zeros_(self.item_bias.weight)
        dims = self.item_features.dims
        maps = [nn.Linear(dim, self.embedding_size, bias=False) for dim in dims]
        biases = [nn.Linear(dim, 1, bias=False) for dim in dims]
        self.map_lr_factor = self.number("map_lr_factor", 0, above=True)
        map_scale = self.number("map_scale", 0, above=True)
        for linear in maps:
            nn.init.xavier_uniform_(linear.weight, gain=map_scale)
        for linear in biases:
            nn.init.zeros_(linear.weight)
        self.maps, self.feature_bias = nn.ModuleList(maps), nn.ModuleList(biases)

    def learning_rate_factors(self) -> List[Tuple[List[nn.Parameter], float]]:
        """Return E and beta', whose steps move all items at once, with the factor of their learning rate."""
        return [([linear.weight for linear in (*self.maps, *self.feature_bias)], self.map_lr_factor)]

    def _mapped(self, features: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
        """Return E f, (n, embedding_size), and beta' . f, (n, 1), of rows of features."""

        def total(maps: nn.ModuleList) -> Tensor:
            return reduce(torch.add, (linear(x) for linear, x in zip(maps, features)))

        return total(self.maps), total(self.feature_bias)

    def embeddings(self) -> Tuple[Tensor, Tensor]:
        """Return gamma_u, theta_u, 1 of all users and gamma_i, E f_i, beta_i + beta' . f_i of all items."""
        users = self.user_embedding.weight
        mapped, bias = self._mapped(self.item_features())
        items = [self.item_embedding.weight, mapped, self.item_bias.weight + bias]
        return torch.cat([users, users.new_ones(self.n_users, 1)], dim=1), torch.cat(items, dim=1)

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return the loss of a batch of (user, item, negative item) triples."""
        users, positive, negative = self.bpr_triple(interaction)
        ids = torch.cat([positive, negative])
        user = self.user_embedding(users)
        positive_item, negative_item = self.item_embedding(ids).chunk(2)
        positive_bias, negative_bias = self.item_bias(ids).chunk(2)
        # The maps are linear: mapping the difference costs half as much as the difference of two mapped features.
        differences = [torch.sub(*x.chunk(2)) for x in self.item_features(ids)]
        mapped, bias = self._mapped(differences)
        margin = score(user, torch.cat([positive_item - negative_item, mapped], dim=1))
        margin = margin + (positive_bias - negative_bias + bias).squeeze(1)
        penalty = l2_penalty(user, positive_item, negative_item, positive_bias, negative_bias)
        return self.bpr(margin, torch.zeros_like(margin)) + self.reg_weight * penalty
