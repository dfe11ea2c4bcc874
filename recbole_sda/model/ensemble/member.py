"""A member of an ensemble: a model that scores all items, on its own kind of input."""

import math
from dataclasses import dataclass
from typing import Any, Dict, Iterator

import torch
from recbole.data.interaction import Interaction
from torch import Tensor, nn

STD_MIN = 1e-6  # relative to the mean: below it, scores differ by rounding alone
CACHED = 2**18  # scores, 1 MB of float32


@dataclass(frozen=True, eq=False)
class Member:
    """A member of an ensemble.

    Attributes:
        name: as in the key ``members``.
        model: the model, with trained weights, on the device of the run.
        longest: number of items of a history that the model takes; 0: it takes none.
        record: what identifies it, for ``metrics.json``.
        trimmed: whether padding does not change its scores, so that a batch's histories are cut to the longest of them.
    """

    name: str
    model: nn.Module
    longest: int
    record: Dict[str, Any]
    trimmed: bool = False

    def input(self, interaction: Interaction, histories: str, length: str) -> Interaction:
        """Return what the model takes: its part of the histories, or no histories.

        Args:
            interaction: users with their histories.
            histories, length: fields of the items of a history, oldest first, then 0, and of their number.
        """
        if self.longest:
            width = int(interaction[length].max().clamp(1, self.longest)) if self.trimmed else self.longest
            return last_items(interaction, histories, length, width)
        fields = interaction.interaction.items()
        return Interaction({name: column for name, column in fields if name not in (histories, length)})


def scores_of(model: Any, interaction: Interaction) -> Tensor:
    """Return a model's scores of all items, (batch, n_items), a new float32 tensor."""
    scores: Tensor = model.full_sort_predict(interaction)
    return scores.view(len(interaction), -1)[:, : model.n_items].float().contiguous()


def last_items(interaction: Interaction, histories: str, length: str, longest: int) -> Interaction:
    """Return a copy of an interaction whose histories have their last ``longest`` items.

    Example:
        >>> batch = Interaction({"items": torch.tensor([[4, 5, 6], [7, 0, 0]]), "n": torch.tensor([3, 1])})
        >>> short = last_items(batch, "items", "n", 2)
        >>> short["items"].tolist(), short["n"].tolist()
        ([[5, 6], [7, 0]], [2, 1])
    """
    items, n = interaction[histories], interaction[length]
    fields = dict(interaction.interaction)
    if items.shape[1] > longest:
        first = (n - longest).clamp(min=0)
        column = first.unsqueeze(1) + torch.arange(longest, device=items.device)
        fields[histories], fields[length] = items.gather(1, column), n.clamp(max=longest)
    return Interaction(fields)


def standardise_(scores: Tensor) -> Tensor:
    """Give the scores of each user mean 0 and standard deviation 1 over all items, in place, and return them.

    The padding item 0 takes no part; its score becomes minus infinity. Scores that are all equal become 0.

    Args:
        scores: (batch, n_items), float32.
    """
    for rows in in_cache(scores):
        _standardise_rows_(rows)
    return scores


def in_cache(*matrices: Tensor) -> Iterator[Any]:
    """Yield blocks of rows of matrices of one shape that are small enough for a processor's cache between several steps on them.

    A single matrix gives its blocks, several give tuples of blocks.
    """
    step = max(1, CACHED // matrices[0].shape[1])
    blocks = zip(*(matrix.split(step) for matrix in matrices))
    return (block[0] for block in blocks) if len(matrices) == 1 else blocks


def _standardise_rows_(scores: Tensor) -> None:
    n_items = scores.shape[1] - 1
    scores[:, 0] = 0
    mean = scores.sum(dim=1, keepdim=True) / n_items
    scores.sub_(mean)[:, 0] = 0
    std = torch.linalg.vector_norm(scores, dim=1, keepdim=True) / math.sqrt(n_items)  # a tenth of the time of torch.std
    scores.mul_(torch.where(std > mean.abs() * STD_MIN, 1 / std, 0.0))[:, 0] = -torch.inf
