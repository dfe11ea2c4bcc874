"""The items that adaptation learns from, those held out for its evaluation, and the items of each training step."""

from typing import List, NamedTuple, Optional

import numpy as np
import scipy.sparse as sp

from recbole_sda.errors import InputError
from recbole_sda.lvlm.inputs import Inputs, make_inputs
from recbole_sda.lvlm.items import ItemContent
from recbole_sda.lvlm.processor import Processor
from recbole_sda.lvlm.settings import LVLMSettings

MIN_HELD_OUT, MAX_HELD_OUT = 2, 1000
HELD_OUT, ORDER, PARTNERS = 0, 1, 2  # random streams derived from one seed


class TrainingItems(NamedTuple):
    """Images and texts of the items that have both.

    Attributes:
        image: inputs of the image pass, (n,).
        text: inputs of the text pass, (n,), of the same items in the same order.
        ids: external item tokens, (n,).
        train: positions of the items to learn from; sorted and disjoint from ``held_out``.
        held_out: positions of the items for evaluation; sorted.
    """

    image: Inputs
    text: Inputs
    ids: List[str]
    train: np.ndarray
    held_out: np.ndarray


def select_training_items(content: ItemContent, processor: Processor, settings: LVLMSettings) -> TrainingItems:
    """Render the items that have both modalities and hold some of them out for evaluation.

    Raises:
        InputError: there are too few items for one batch and the evaluation.
    """
    chosen = sorted(set(content.positions_with("image")) & set(content.positions_with("text")))
    n_held_out = max(MIN_HELD_OUT, min(MAX_HELD_OUT, round(settings.held_out * len(chosen))))
    if len(chosen) < n_held_out + settings.batch_size:
        raise InputError(
            f"{settings.items}: {len(chosen)} items have an image and a text, but {n_held_out + settings.batch_size} are "
            f"needed: {n_held_out} held out for evaluation and batch_size={settings.batch_size}"
        )
    order = np.random.default_rng([settings.seed, HELD_OUT]).permutation(len(chosen))
    image, text = (make_inputs(content, m, processor, chosen, settings.max_tokens) for m in ("image", "text"))
    ids = [content.ids[k] for k in chosen]
    return TrainingItems(image, text, ids, np.sort(order[n_held_out:]), np.sort(order[:n_held_out]))


class StepBatches:
    """The items of each training step, as a function of seed and step only; each epoch has a new random order.

    With co-purchase counts, half of a batch are anchors, taken in random order. The other half are partners: items bought
    together with the anchors, drawn in proportion to the number of users who bought both. Where an anchor has no partner
    left, the next items of the random order fill the batch.

    Args:
        train: positions of the training items.
        batch_size: number of distinct items per step.
        steps: number of steps.
        seed: seed of the order.
        co_purchases: number of users who bought both items, (n, n) over all positions; None: no partners.
    """

    def __init__(
        self, train: np.ndarray, batch_size: int, steps: int, seed: int, co_purchases: Optional[sp.csr_matrix] = None
    ):
        self.train, self.batch_size, self.steps, self.seed = train, batch_size, steps, seed
        self.co_purchases = co_purchases
        self.n_anchors = batch_size if co_purchases is None else batch_size // 2
        self.steps_per_epoch = max(len(train) // self.n_anchors, 1)
        self.train_positions = frozenset(train.tolist())

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> np.ndarray:
        """Return the positions of the items of a step, (batch_size,), distinct."""
        if not 0 <= step < self.steps:
            raise IndexError(step)
        epoch, number = divmod(step, self.steps_per_epoch)
        order = self.train[np.random.default_rng([self.seed, ORDER, epoch]).permutation(len(self.train))]
        order = np.roll(order, -number * self.n_anchors)
        if self.co_purchases is None:
            return order[: self.batch_size]
        return self._with_partners(order, step, self.co_purchases)

    def _with_partners(self, order: np.ndarray, step: int, co_purchases: sp.csr_matrix) -> np.ndarray:
        rng = np.random.default_rng([self.seed, PARTNERS, step])
        chosen = dict.fromkeys(order[: self.n_anchors].tolist())
        for anchor in order[: self.n_anchors]:
            row = co_purchases[anchor]
            free = [
                (int(k), count)
                for k, count in zip(row.indices, row.data)
                if k in self.train_positions and k not in chosen
            ]
            if free and len(chosen) < self.batch_size:
                partners, counts = zip(*free)
                chosen[partners[rng.choice(len(partners), p=np.array(counts) / sum(counts))]] = None
        for item in order[self.n_anchors :].tolist():
            if len(chosen) == self.batch_size:
                break
            chosen.setdefault(item)
        return np.array(list(chosen))
