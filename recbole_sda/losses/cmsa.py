"""CMSA: cross-modal alignment taught by the structure inside the modalities (arXiv 2512.06883)."""

from itertools import combinations
from typing import Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from recbole_sda.layers.normalize import normalize_rows

MIN_TEMPERATURE = 0.01  # a learned temperature is kept at or above this, as CLIP keeps its logit scale at or below 100


def kept_above(temperature: Tensor) -> Tensor:
    """Return a temperature in float32, moved in place to :data:`MIN_TEMPERATURE` if it was below: there it can rise again."""
    temperature.data.clamp_(min=MIN_TEMPERATURE)
    return temperature.float()


class CMSALoss(nn.Module):
    """Contrastive loss between two modalities with soft targets from the similarities inside each of them.

        L = X Y^T / tau        T = softmax_rows(s * (X X^T + Y Y^T) / 2)        loss = mean(CE(L, T) + CE(L^T, T^T)) / 2

    with ``CE(P, Q) = -sum_j Q_j log softmax(P)_j`` and the mean over the rows of the batch. Computed in float32.

    Args:
        temperature: tau, > 0; where it starts if it is learned.
        learnable: whether tau is a parameter.
        teacher_scale: s, > 0. None takes s = tau, one temperature for both.
        normalize: whether rows are divided by their L2 norm first.
        detach_teacher: whether T is a constant for the gradient.

    Note:
        The reference uses ``temperature=3, learnable=True, teacher_scale=None, normalize=False,
        detach_teacher=False`` (the configuration preset ``paper``). Its targets are one-hot for the large norms of
        LVLM states and uniform for unit norms: scale matters more than the formula. The defaults here give a real
        soft target on unit-norm vectors: at the start of training on three catalogues of pictures and texts, 512 items,
        scale 10 left .81 to .93 of a target on the item itself, scale 20 .99, scale 3 .04. In training the target moves
        with the vectors that it teaches: at scale 8 it drifted to nearly uniform on one of the three, at 10 on none.

    Relations:
        With T the identity matrix this is the symmetric InfoNCE of CLIP.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        learnable: bool = True,
        teacher_scale: Optional[float] = 10.0,
        normalize: bool = True,
        detach_teacher: bool = True,
    ):
        super().__init__()
        value = torch.tensor(float(temperature))
        if learnable:
            self.temperature = nn.Parameter(value)
        else:
            self.register_buffer("temperature", value)
        self.teacher_scale = teacher_scale
        self.normalize = normalize
        self.detach_teacher = detach_teacher
        self.target_entropy: Optional[Tensor] = None  # of the last call, in nats, detached

    def _tau(self) -> Tensor:
        return kept_above(self.temperature)

    def _ready(self, x: Tensor) -> Tensor:
        return normalize_rows(x) if self.normalize else x.float()

    def targets(self, x: Tensor, y: Tensor) -> Tensor:
        """Return T, (batch, batch), each row a distribution over the batch."""
        scale = self._tau() if self.teacher_scale is None else self.teacher_scale
        targets = (scale * (x @ x.T + y @ y.T) / 2).softmax(dim=-1)
        return targets.detach() if self.detach_teacher else targets

    def forward(self, x: Tensor, y: Tensor, teacher: Optional[Tuple[Tensor, Tensor]] = None) -> Tensor:
        """Return the loss, a float32 scalar, of x and y (batch, dim) whose rows k belong to the same item k.

        ``teacher``: what the targets are made of instead of x and y, each (batch, any width).

        Fewer than two rows have nothing to be told apart from: the loss is exactly zero.
        """
        if len(x) < 2:
            return (x.sum() + y.sum()) * 0.0
        with torch.autocast(device_type=x.device.type, enabled=False):
            x, y = self._ready(x), self._ready(y)
            targets = self.targets(x, y) if teacher is None else self.targets(*map(self._ready, teacher))
            logits = x @ y.T / self._tau()
            rows = -(targets * logits.log_softmax(dim=1)).sum(dim=1)
            columns = -(targets * logits.log_softmax(dim=0)).sum(dim=0)
            self.target_entropy = torch.special.entr(targets.detach()).sum(dim=1).mean()
            return (rows.mean() + columns.mean()) / 2


def multimodal_cmsa(
    loss: nn.Module, embeddings: Tensor, present: Tensor, teachers: Optional[Sequence[Tensor]] = None
) -> Tensor:
    """Return the mean of ``loss`` over all pairs of modalities, each over the items that have both.

    Args:
        loss: the loss of one pair: :class:`CMSALoss`, or InfoNCE, which takes no teachers.
        embeddings: (n_modalities, batch, dim).
        present: (n_modalities, batch), bool.
        teachers: per modality what the targets are made of, (batch, any width); None: the embeddings.
    """
    pairs = list(combinations(range(len(embeddings)), 2))
    if not pairs:
        loss.target_entropy = None
        return embeddings.sum() * 0.0
    losses, entropies = [], []
    for a, b in pairs:
        both = present[a] & present[b]
        loss.target_entropy = None
        teacher = () if teachers is None else ((teachers[a][both], teachers[b][both]),)
        losses.append(loss(embeddings[a][both], embeddings[b][both], *teacher))
        if loss.target_entropy is not None:
            entropies.append(loss.target_entropy)
    loss.target_entropy = torch.stack(entropies).mean() if entropies else None
    return torch.stack(losses).mean()
