"""CMSA: cross-modal alignment with soft targets from the structure inside each modality (arXiv 2512.06883)."""

from itertools import combinations
from typing import List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from recbole_sda.losses.pair_loss import PairLoss, without_pairs


class CMSALoss(PairLoss):
    """Contrastive loss between two modalities, with soft targets from the similarities inside each of them.

        L = X Y^T / tau        T = softmax_rows(s * (X X^T + Y Y^T) / 2)        loss = mean(CE(L, T) + CE(L^T, T^T)) / 2

    with ``CE(P, Q) = -sum_j Q_j log softmax(P)_j`` and the mean over the rows of the batch. Computed in float32.

    Args:
        temperature: tau, > 0; the initial value if it is learned.
        learnable: whether tau is a parameter.
        teacher_scale: s, > 0. None uses s = tau, one temperature for both.
        normalize: whether each vector is divided by its L2 norm first.
        detach_teacher: whether the targets T are a constant for the gradient.

    Note:
        The paper's reference code uses ``temperature=3, learnable=True, teacher_scale=None, normalize=False,
        detach_teacher=False`` (the configuration preset ``paper``). Its targets are one-hot for the large norms of LVLM states
        and uniform for unit norms: the scale matters more than the formula. The defaults here give soft targets on unit-norm
        vectors. Measured at the start of training on three data sets of images and texts with 512 items, the probability of the
        item itself in its target was 0.81 to 0.93 at scale 10, 0.99 at scale 20 and 0.04 at scale 3. In training, the targets
        change with the vectors that they teach: at scale 8 they became nearly uniform on one of the three, at 10 on none.

    Relations:
        With the identity matrix as T this is the symmetric InfoNCE of CLIP,
        :class:`~recbole_sda.losses.infonce.InfoNCELoss`.

    Example:
        >>> import torch
        >>> loss = CMSALoss(temperature=0.1)
        >>> x, y = torch.eye(4), torch.eye(4)  # image and text vectors of four items, equal and orthogonal
        >>> round(loss(x, y).item(), 4), round(loss.target_entropy.item(), 4)
        (0.0015, 0.0015)
        >>> round(loss(x, torch.zeros(4, 4)).item(), 4)  # texts without information: log 4
        1.3863
    """

    def __init__(
        self,
        temperature: float = 0.1,
        learnable: bool = True,
        teacher_scale: Optional[float] = 10.0,
        normalize: bool = True,
        detach_teacher: bool = True,
    ):
        super().__init__(temperature, learnable, normalize)
        self.teacher_scale = teacher_scale
        self.detach_teacher = detach_teacher

    def targets(self, x: Tensor, y: Tensor, excluded: Optional[Tensor] = None) -> Tensor:
        """Return T, (batch, batch), of prepared x and y; each row is a distribution over the batch without excluded pairs."""
        scale = self.tau() if self.teacher_scale is None else self.teacher_scale
        targets = without_pairs(scale * (x @ x.T + y @ y.T) / 2, excluded).softmax(dim=-1)
        return targets.detach() if self.detach_teacher else targets

    def forward(
        self, x: Tensor, y: Tensor, teacher: Optional[Tuple[Tensor, Tensor]] = None, excluded: Optional[Tensor] = None
    ) -> Tensor:
        """Return the loss as a float32 scalar; exactly zero for fewer than two items.

        Args:
            x: one modality, (batch, dim).
            y: the other modality, (batch, dim); row k of both belongs to the same item.
            teacher: vectors of the same items, each (batch, any width), from which the targets are computed in place of x and y.
            excluded: pairs of different items that are neither positive nor negative, (batch, batch), bool, symmetric.
        """
        if len(x) < 2:
            return (x.sum() + y.sum()) * 0.0
        with torch.autocast(device_type=x.device.type, enabled=False):
            x, y = self.prepare(x), self.prepare(y)
            of_x, of_y = (x, y) if teacher is None else map(self.prepare, teacher)
            targets = self.targets(of_x, of_y, excluded)
            logits = without_pairs(x @ y.T / self.tau(), excluded)
            rows = -(targets * logits.log_softmax(dim=1)).sum(dim=1)
            columns = -(targets * logits.log_softmax(dim=0)).sum(dim=0)
            self.target_entropy = torch.special.entr(targets.detach()).sum(dim=1).mean()
            return (rows.mean() + columns.mean()) / 2


def multimodal_cmsa(
    loss: PairLoss, embeddings: Tensor, present: Tensor, teachers: Optional[Sequence[Tensor]] = None
) -> Tensor:
    """Return the mean of ``loss`` over all pairs of modalities, each pair over the items that have both.

    ``loss.target_entropy`` becomes the mean over the pairs of at least two items, or None without such a pair.

    Args:
        loss: the loss of one pair: :class:`CMSALoss`, or :class:`~recbole_sda.losses.infonce.InfoNCELoss`, which takes no
            teachers.
        embeddings: (n_modalities, batch, dim).
        present: (n_modalities, batch), bool.
        teachers: per modality, vectors (batch, any width) from which the targets are computed; None uses the embeddings.

    Returns:
        A scalar; zero for one modality, and zero for a pair with fewer than two items.

    Example:
        >>> import torch
        >>> embeddings = torch.zeros(3, 5, 4)  # three modalities of five items
        >>> present = torch.ones(3, 5, dtype=torch.bool)
        >>> round(multimodal_cmsa(CMSALoss(), embeddings, present).item(), 4)  # log 5 for each pair
        1.6094
        >>> present[0, 2:] = False  # two items have the first modality: (log 2 + log 2 + log 5) / 3
        >>> round(multimodal_cmsa(CMSALoss(), embeddings, present).item(), 4)
        0.9986
    """
    pairs = list(combinations(range(len(embeddings)), 2))
    if not pairs:
        loss.target_entropy = None
        return embeddings.sum() * 0.0
    losses: List[Tensor] = []
    entropies: List[Tensor] = []
    for a, b in pairs:
        both = present[a] & present[b]
        loss.target_entropy = None
        teacher = () if teachers is None else ((teachers[a][both], teachers[b][both]),)
        losses.append(loss(embeddings[a][both], embeddings[b][both], *teacher))
        if loss.target_entropy is not None:
            entropies.append(loss.target_entropy)
    loss.target_entropy = torch.stack(entropies).mean() if entropies else None
    return torch.stack(losses).mean()
