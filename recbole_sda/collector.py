"""RecBole's collector of evaluation results, without a matrix of users by items beside the scores."""

import torch
from recbole.evaluator.collector import Collector


class TopKCollector(Collector):
    """Collects which of the top k are hits from the k items alone; everything else is RecBole's."""

    def eval_batch_collect(self, scores_tensor, interaction, positive_u, positive_i):
        if not self.register.need("rec.topk") or self.register.need("rec.meanrank"):
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
        if self.register.need("rec.score"):
            self.data_struct.update_tensor("rec.score", scores_tensor)
        if self.register.need("data.label"):
            self.label_field = self.config["LABEL_FIELD"]
            self.data_struct.update_tensor("data.label", interaction[self.label_field].to(self.device))
