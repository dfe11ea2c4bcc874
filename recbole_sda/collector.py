"""RecBole's collector of evaluation results, without a matrix of users by items beside the scores."""

import torch
from recbole.evaluator.collector import Collector


class TopKCollector(Collector):
    """Collects which of the top k are hits from the k items alone; whatever else metrics need is RecBole's to collect."""

    def eval_batch_collect(self, scores_tensor, interaction, positive_u, positive_i):
        whole = any(self.register.need(key) for key in ("rec.meanrank", "rec.score", "data.label"))
        if whole or not self.register.need("rec.topk"):
            super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
            return
        n_users, n_items = scores_tensor.shape
        device = scores_tensor.device
        positive_u, positive_i = positive_u.to(device), positive_i.to(device)
        top = scores_tensor.topk(max(self.topk), dim=-1).indices
        places = top + n_items * torch.arange(n_users, device=device).unsqueeze(1)
        hits = torch.isin(places, positive_i + n_items * positive_u)
        n_positives = torch.bincount(positive_u, minlength=n_users).unsqueeze(1)
        self.data_struct.update_tensor("rec.topk", torch.cat([hits.int(), n_positives.int()], dim=1))
        if self.register.need("rec.items"):
            self.data_struct.update_tensor("rec.items", top)
