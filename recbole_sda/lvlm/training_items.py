"""The items that adaptation learns from: those with a picture and a text, a share of them held out, and the batches."""

from typing import List, NamedTuple, Optional, Sequence

import numpy as np
import scipy.sparse as sp

from recbole_sda.errors import InputError
from recbole_sda.lvlm.inputs import Inputs, make_inputs
from recbole_sda.lvlm.items import Catalogue
from recbole_sda.lvlm.settings import LVLMSettings

MOST_HELD_OUT = 1000
HELD_OUT, ORDER, PARTNERS = 0, 1, 2  # random streams that a seed is split into


class Pairs(NamedTuple):
    """Pictures and texts of the items that have both.

    Attributes:
        image, text: inputs of the items, in one order, (n,).
        ids: external item tokens, (n,).
        train, held_out: positions in that order, sorted and disjoint.
    """

    image: Inputs
    text: Inputs
    ids: List[str]
    train: np.ndarray
    held_out: np.ndarray


def make_pairs(catalogue: Catalogue, processor, settings: LVLMSettings) -> Pairs:
    """Render the items that have both modalities and hold some of them out.

    Raises:
        InputError: too few items for a batch and the evaluation.
    """
    chosen = sorted(set(catalogue.having("image")) & set(catalogue.having("text")))
    n_held = max(2, min(MOST_HELD_OUT, round(settings.held_out * len(chosen))))
    if len(chosen) < n_held + settings.batch_size:
        raise InputError(
            f"{settings.items}: {len(chosen)} items have a picture and a text; {n_held} are held out for evaluation and "
            f"batch_size={settings.batch_size} needs as many more"
        )
    order = np.random.default_rng([settings.seed, HELD_OUT]).permutation(len(chosen))
    image, text = (make_inputs(catalogue, m, processor, chosen, settings.max_tokens) for m in ("image", "text"))
    ids = [catalogue.ids[k] for k in chosen]
    return Pairs(image, text, ids, np.sort(order[n_held:]), np.sort(order[:n_held]))


class StepBatches(Sequence):
    """The items of each step: shuffled anew for each pass over the training items, a function of seed and step alone.

    With co-purchases half of a batch are items in that order and half are items bought together with them, drawn by how
    many users bought both; where an item has no partner left, the order provides.

    Args:
        train: positions of the training items.
        batch_size: distinct items per step.
        steps: how many.
        seed: of the order.
        together: (n, n) how many users bought both, over all positions, or None.
    """

    def __init__(
        self, train: np.ndarray, batch_size: int, steps: int, seed: int, together: Optional[sp.csr_matrix] = None
    ):
        self.train, self.batch_size, self.steps, self.seed, self.together = train, batch_size, steps, seed, together
        self.n_anchors = batch_size if together is None else batch_size // 2
        self.per_pass = max(len(train) // self.n_anchors, 1)
        self.trained = frozenset(train.tolist())

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> np.ndarray:
        """Return the positions of the items of a step, (batch_size,), distinct."""
        if not 0 <= step < self.steps:
            raise IndexError(step)
        a_pass, number = divmod(step, self.per_pass)
        order = self.train[np.random.default_rng([self.seed, ORDER, a_pass]).permutation(len(self.train))]
        order = np.roll(order, -number * self.n_anchors)
        return order[: self.batch_size] if self.together is None else self._with_partners(order, step)

    def _with_partners(self, order: np.ndarray, step: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, PARTNERS, step])
        chosen = dict.fromkeys(order[: self.n_anchors].tolist())
        for anchor in order[: self.n_anchors]:
            row = self.together[anchor]
            free = [(int(k), w) for k, w in zip(row.indices, row.data) if k in self.trained and k not in chosen]
            if free and len(chosen) < self.batch_size:
                items, weights = zip(*free)
                chosen[items[rng.choice(len(items), p=np.array(weights) / sum(weights))]] = None
        for item in order[self.n_anchors :].tolist():
            if len(chosen) == self.batch_size:
                break
            chosen.setdefault(item)
        return np.array(list(chosen))
