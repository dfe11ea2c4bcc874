"""From interactions to a data set: the choices of a user, the filters in their order, and the split."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from dataset_prep import filters, splits
from dataset_prep.interactions import Interactions
from recbole_sda.errors import InputError

FILTERS = ("iterative", "one-pass")


@dataclass(frozen=True)
class Choices:
    """Which interactions are used and how they are split.

    Attributes:
        start, end: interactions with start <= time < end are used, in seconds; None is no limit.
        min_rating: lowest rating of the interactions that are used.
        repetitions: which of a user's interactions with the same item are used: first, last or all.
        k_core: least interactions of a user and of an item; 0 for no limit.
        filter: ``iterative`` until all have k, or ``one-pass``.
        max_history: number of each user's most recent interactions that are used.
        split: none, leave-one-out, ratio or time; written as RecBole's benchmark files.
        ratio: shares of training, validation and test.
        split_at: times at which validation and test begin, in seconds.
    """

    start: Optional[float] = None
    end: Optional[float] = None
    min_rating: Optional[float] = None
    repetitions: str = "first"
    k_core: int = 5
    filter: str = "iterative"
    max_history: Optional[int] = None
    split: str = "none"
    ratio: Tuple[float, ...] = (8, 1, 1)
    split_at: Tuple[float, ...] = ()

    @property
    def is_plain_core(self) -> bool:
        """Whether published counts of k-cores can be compared: no ratings or times are left out."""
        return self.filter == "iterative" and self.min_rating is None and self.start is None and self.end is None


def filter_interactions(data: Interactions, choices: Choices) -> Tuple[Interactions, List[Dict[str, Any]]]:
    """Apply the filters: time, rating, repetitions, k-core, history.

    Returns:
        The remaining interactions, by user token and time; and the counts after each step.

    Raises:
        InputError: no interaction remains, or a choice is not allowed.
    """
    c = choices
    steps: List[Dict[str, Any]] = []

    def after(step: str, remaining: Interactions) -> Interactions:
        steps.append({"step": step, **remaining.counts()})
        if not len(remaining):
            raise InputError(f"no interaction is left after: {step}")
        return remaining

    if c.filter not in FILTERS:
        raise InputError(f"filter={c.filter!r}: allowed are {', '.join(FILTERS)}")
    data = after("read", data)
    if c.start is not None or c.end is not None:
        data = after(f"times from {c.start} to {c.end}", filters.between(data, c.start, c.end))
    if c.min_rating is not None:
        data = after(f"rated {c.min_rating:g} or better", filters.at_least_rated(data, c.min_rating))
    if c.repetitions != "all":
        data = after(f"{c.repetitions} of repeated interactions", filters.deduplicate(data, c.repetitions))
    if c.k_core > 0:
        core = filters.k_core if c.filter == "iterative" else filters.one_pass
        data = after(f"{c.k_core}-core, {c.filter}", core(data, c.k_core, c.k_core))
    if c.max_history is not None:
        data = after(f"last {c.max_history} of each user", filters.most_recent(data, c.max_history))
    return data.ordered(), steps


def part_of(data: Interactions, choices: Choices) -> Optional[np.ndarray]:
    """Return the part of each interaction, a position in ``splits.PARTS``; None where no split is written.

    Raises:
        InputError: the shares or times of the split are missing or invalid.
    """
    if choices.split == "none":
        return None
    if choices.split == "leave-one-out":
        part = splits.leave_one_out(data)
    elif choices.split == "ratio":
        part = splits.ratio(data, choices.ratio)
    elif len(choices.split_at) != 2:
        raise InputError("--split=time needs --split-at with two times, the beginnings of validation and of test")
    else:
        part = splits.by_time(data, *choices.split_at)
    splits.check_parts(part, f"--split={choices.split}")
    return part
