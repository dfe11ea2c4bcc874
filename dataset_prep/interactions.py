"""Interactions as columns of numbers: ten million of them need a few hundred megabytes."""

from array import array
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterable, List, Optional, Tuple

import numpy as np

Row = Tuple[str, str, Optional[float], float]  # user, item, rating or None, time


@dataclass(frozen=True)
class Interactions:
    """User-item interactions with ratings and times.

    Attributes:
        user, item: positions in ``users`` and ``items``, (n,), int32.
        rating: (n,), float32; NaN where there is none.
        time: seconds with their fractions, or any number that orders a user's interactions, (n,), float64.
        users, items: external tokens.
    """

    user: np.ndarray
    item: np.ndarray
    rating: np.ndarray
    time: np.ndarray
    users: List[str]
    items: List[str]

    def __len__(self) -> int:
        return len(self.user)

    def take(self, chosen: np.ndarray) -> "Interactions":
        """Return the interactions chosen by a mask, or by positions in a new order; ``users`` and ``items`` stay."""
        columns = {name: getattr(self, name)[chosen] for name in ("user", "item", "rating", "time")}
        return replace(self, **columns)

    def counts(self) -> Dict[str, int]:
        """Return the numbers of users and items that occur, and of interactions."""
        return {
            "users": int((np.bincount(self.user, minlength=1) > 0).sum()),
            "items": int((np.bincount(self.item, minlength=1) > 0).sum()),
            "interactions": len(self),
        }

    def ordered(self) -> "Interactions":
        """Return the interactions sorted by user token, then by time; ties keep their order."""
        return self.take(self.order())

    def order(self) -> np.ndarray:
        """Return the positions of the interactions by user token, then by time, (n,); ties keep their order."""
        rank = np.empty(len(self.users), dtype=np.int64)
        by_token = sorted(range(len(self.users)), key=self.users.__getitem__)
        rank[np.array(by_token, dtype=np.int64)] = np.arange(len(self.users))
        return np.lexsort((self.time, rank[self.user]))

    def used_items(self) -> List[str]:
        """Return the tokens of the items that occur, sorted."""
        return sorted(self.items[k] for k in np.unique(self.item).tolist())


def collect(rows: Iterable[Row]) -> Interactions:
    """Return rows of (user, item, rating or None, time) as columns."""
    user_of: Dict[str, int] = {}
    item_of: Dict[str, int] = {}
    user, item, rating, time = array("i"), array("i"), array("f"), array("d")
    for u, i, r, t in rows:
        user.append(user_of.setdefault(u, len(user_of)))
        item.append(item_of.setdefault(i, len(item_of)))
        rating.append(float("nan") if r is None else r)
        time.append(t)
    return Interactions(
        user=_column(user, np.int32),
        item=_column(item, np.int32),
        rating=_column(rating, np.float32),
        time=_column(time, np.float64),
        users=list(user_of),
        items=list(item_of),
    )


def _column(values: array, dtype: Any) -> np.ndarray:
    return np.frombuffer(values, dtype=dtype) if len(values) else np.empty(0, dtype)
