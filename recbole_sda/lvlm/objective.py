"""What adaptation minimises: pictures and texts of the same items, and optionally what was bought together."""

import csv
from pathlib import Path
from typing import Dict, Optional, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sda.errors import InputError
from recbole_sda.losses.cmsa import CMSALoss
from recbole_sda.losses.infonce import InfoNCELoss
from recbole_sda.losses.weighted_contrastive import weighted_contrastive_loss
from recbole_sda.lvlm.pooling import block_average
from recbole_sda.lvlm.settings import LVLMSettings

HELD_BACK = 2  # last interactions of each user: validation and test of a leave-one-out split


class AdaptationLoss(nn.Module):
    """CMSA or InfoNCE between the two sides of a batch, plus the weighted bought-together term.

    Args:
        settings: of the stage.
    """

    def __init__(self, settings: LVLMSettings):
        super().__init__()
        s = settings
        if s.loss == "cmsa":
            self.pair = CMSALoss(s.temperature, s.learnable, s.teacher_scale, s.normalize, s.detach_teacher)
        else:
            self.pair = InfoNCELoss(s.temperature, s.learnable, s.normalize)
        self.name, self.loss_dim, self.together_weight = s.loss, s.loss_dim, s.bought_together_weight
        self.center = s.center

    def prepared(self, vectors: Tensor) -> Tensor:
        """Return vectors (n, dim) as the loss compares them: averaged in blocks, their mean taken off."""
        vectors = block_average(vectors, self.loss_dim)
        return vectors - vectors.mean(dim=0) if self.center else vectors

    def forward(self, image: Tensor, text: Tensor, together: Optional[Tensor] = None) -> Dict[str, Tensor]:
        """Return the weighted terms by name.

        Args:
            image, text: vectors of the same items, (batch, dim).
            together: how often two items were bought by the same user, (batch, batch).
        """
        x, y = self.prepared(image), self.prepared(text)
        terms = {self.name: self.pair(x, y)}
        if together is not None:
            both = F.normalize(x.float(), dim=-1) + F.normalize(y.float(), dim=-1)
            terms["bought_together"] = self.together_weight * weighted_contrastive_loss(both, together)
        return terms

    @property
    def target_entropy(self) -> Optional[float]:
        """Entropy of the last batch's CMSA targets in nats, None for InfoNCE."""
        value = getattr(self.pair, "target_entropy", None)
        return None if value is None else float(value)


def bought_together(path, ids: Sequence[str]) -> sp.csr_matrix:
    """Return how many users bought both items, (n_items, n_items), from the training part of an interaction file.

    Args:
        path: RecBole atomic file with user, item and time. The last two interactions of each user are left out: they are
            validation and test data of a leave-one-out split.
        ids: item tokens; interactions with others are ignored.

    Raises:
        InputError: the file or a column is missing, or it shares no item with ``ids``.
    """
    if not Path(path).is_file():
        raise InputError(f"interactions={path} does not exist")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)
    table.columns = [name.partition(":")[0] for name in table.columns]
    for name in ("user_id", "item_id", "timestamp"):
        if name not in table:
            raise InputError(f"interactions={path}: no column {name}; there is {', '.join(table.columns)}")
    table["timestamp"] = table["timestamp"].astype(float)
    table = table.sort_values(["user_id", "timestamp"], kind="stable")
    from_end = table.groupby("user_id").cumcount(ascending=False)
    table = table[(from_end >= HELD_BACK).to_numpy()]
    place = pd.Index(ids).get_indexer(table["item_id"])
    user = pd.factorize(table["user_id"])[0]
    known = place >= 0
    if not known.any():
        raise InputError(f"interactions={path}: knows none of the items")
    had = sp.csr_matrix((np.ones(known.sum()), (user[known], place[known])), shape=(user.max() + 1, len(ids)))
    had.data[:] = 1.0
    together = (had.T @ had).tocsr()
    together.setdiag(0)
    together.eliminate_zeros()
    return together


def among(together: sp.csr_matrix, chosen: np.ndarray) -> Tensor:
    """Return the part of a co-purchase matrix between the chosen items, (n_chosen, n_chosen), float32."""
    return torch.from_numpy(together[chosen][:, chosen].toarray().astype(np.float32))
