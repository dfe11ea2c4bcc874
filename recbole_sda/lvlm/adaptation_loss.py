"""The loss of adaptation: CMSA or InfoNCE between images and texts, and optionally a co-purchase term."""

from typing import Dict, Optional, Union

from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.losses.cmsa import CMSALoss
from recbole_sda.losses.infonce import InfoNCELoss
from recbole_sda.losses.weighted_contrastive import weighted_contrastive_loss
from recbole_sda.lvlm.pooling import block_average
from recbole_sda.lvlm.settings import LVLMSettings


class AdaptationLoss(nn.Module):
    """CMSA or InfoNCE between the image and text vectors of a batch, plus a weighted co-purchase term.

    Args:
        settings: settings of the stage; the section "Objective of adapt" of properties/lvlm.yaml.
    """

    def __init__(self, settings: LVLMSettings):
        super().__init__()
        s = settings
        self.pair: Union[CMSALoss, InfoNCELoss]
        if s.loss == "cmsa":
            self.pair = CMSALoss(s.temperature, s.learnable, s.teacher_scale, s.normalize, s.detach_teacher)
        else:
            self.pair = InfoNCELoss(s.temperature, s.learnable, s.normalize)
        self.name, self.loss_dim, self.center = s.loss, s.loss_dim, s.center
        self.co_purchase_weight, self.masks = s.bought_together_weight, s.bought_together_mask

    def preprocess(self, vectors: Tensor) -> Tensor:
        """Return vectors (n, dim) in the form that the loss compares: averaged in blocks, then centred on their mean."""
        vectors = block_average(vectors, self.loss_dim)
        return vectors - vectors.mean(dim=0) if self.center else vectors

    def forward(self, image: Tensor, text: Tensor, co_purchases: Optional[Tensor] = None) -> Dict[str, Tensor]:
        """Return the weighted terms by name; their sum is the loss.

        Args:
            image: image vectors, (batch, dim).
            text: text vectors of the same items, (batch, dim).
            co_purchases: number of users who bought both items, (batch, batch); None leaves the term out. Every item that shares
                users with another one is a positive of it, in proportion to their number. With ``bought_together_mask``, such
                items are no negatives of each other in the loss between images and texts.
        """
        x, y = self.preprocess(image), self.preprocess(text)
        excluded = co_purchases > 0 if co_purchases is not None and self.masks else None
        terms = {self.name: self.pair(x, y, excluded=excluded)}
        if co_purchases is not None:
            both = F.normalize(x.float(), dim=-1) + F.normalize(y.float(), dim=-1)
            terms["bought_together"] = self.co_purchase_weight * weighted_contrastive_loss(both, co_purchases)
        return terms

    @property
    def target_entropy(self) -> Optional[float]:
        """Entropy of the last batch's CMSA targets in nats; None for InfoNCE."""
        value = getattr(self.pair, "target_entropy", None)
        return None if value is None else float(value)
