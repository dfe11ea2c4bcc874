"""RecBole's popularity baseline with the counts of all training interactions."""

from typing import Any

import torch
from recbole.model.general_recommender.pop import Pop as RecBolePop
from torch import Tensor


class Pop(RecBolePop):
    """Ranks items by their number of training interactions.

    Note:
        RecBole's own class counts an item once per batch, and the sampled negatives of the batch as well, so that its order is
        close to a random one. Items with the same count have the same score; an item of equal score counts as ranked before the
        right one.
    """

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        items = torch.as_tensor(dataset.inter_feat[self.ITEM_ID])
        self.item_cnt = torch.bincount(items, minlength=self.n_items).unsqueeze(1).to(self.device)
        self.max_cnt = self.item_cnt.max(dim=0)[0]

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return zero: the counts are made from the training part."""
        return self.fake_loss.sum()
