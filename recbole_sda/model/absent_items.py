"""Items without any training interaction under a split that leaves some out: they do not exist in training.

RecBole's own splits (LS and RS, without ``cold_items``) keep them among the training candidates, as RecBole does.
"""

import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)

NONE = np.empty(0, dtype=np.int64)
# Models of RecBole and of this package whose loss compares with all items in a way of its own.
WHOLE_CATALOGUE = (
    "CDAE", "DGCF", "DiffRec", "ENMF", "LDiffRec", "LGMRec", "MacridVAE", "MultiDAE", "MultiVAE", "NCEPLRec", "RaCT",
    "RecVAE", "RepeatNet", "SGL",
)  # fmt: skip


def absent_items(training: Any) -> np.ndarray:
    """Return the ids of the items that are no candidates in training, (n,), int64, ascending.

    Args:
        training: RecBole's training part, from :func:`recbole_sda.data.parts.divided`; none for any other.
    """
    absent: np.ndarray = getattr(training, "absent_items", NONE)
    return absent


def has_own_parts(training: Any) -> bool:
    """Return whether this package made the training part, and not RecBole's LS or RS alone."""
    return hasattr(training, "absent_items")


class PresentCrossEntropy(nn.Module):
    """Cross entropy over the items that exist in training, in place of a model's ``loss_fct`` over all items.

    Args:
        loss: the model's cross entropy of scores (..., at least n_items) and targets.
        absent: ids of the items to leave out.
    """

    absent: Tensor

    def __init__(self, loss: nn.Module, absent: np.ndarray):
        super().__init__()
        self.loss = loss
        self.register_buffer("absent", torch.from_numpy(absent), persistent=False)

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss as if the scores of absent items were minus infinity."""
        loss: Tensor = self.loss(scores.index_fill(-1, self.absent, -torch.inf), targets)
        return loss


def leave_out_absent_items(model: nn.Module, base: str, training: Any) -> None:
    """Leave absent items out of a model's own cross entropy; log a warning where its loss cannot leave any out.

    Args:
        model: the model; its ``loss_fct`` is exchanged where that is a cross entropy.
        base: name of the model without SDA.
        training: RecBole's training part.
    """
    absent = absent_items(training)
    if not len(absent):
        return
    if type(getattr(model, "loss_fct", None)) is nn.CrossEntropyLoss:
        model.loss_fct = PresentCrossEntropy(model.loss_fct, absent)  # type: ignore[arg-type]
    if base in WHOLE_CATALOGUE:
        logger.warning(
            "%s compares with all items in its loss: the %d items without a training interaction are negatives there",
            base,
            len(absent),
        )
