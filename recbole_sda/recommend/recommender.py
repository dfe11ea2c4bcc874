"""The k best items of each user, block by block."""

from contextlib import nullcontext
from typing import Iterator, List, Optional, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recbole_sda.data.user_histories import histories, inference_batch
from recbole_sda.engine import run as runs
from recbole_sda.errors import InputError, nearest
from recbole_sda.features.store import FeatureStore
from recbole_sda.recommend.new_items import NewItems, embed_new_items, extended

BLOCK_SCORES = 5_000_000  # scores held at a time, 20 MB


class Recommender:
    """A trained model that recommends.

    Users are judged by all that is known of them, validation and test interactions included: this is for use, not for measuring.

    Args:
        run_dir: folder of the run.
        new_items: directory of a feature store with items that came after training; they are scored from their features alone.
        repeat: whether items that a user has can be recommended again.
    """

    def __init__(self, run_dir, new_items: Optional[str] = None, repeat: bool = False):
        self.run = runs.load(run_dir)
        self.repeat = repeat
        self.model, self.dataset = self.run.model, self.run.data.dataset
        self.device = self.run.config["device"]
        self.new: Optional[NewItems] = None
        if new_items is not None:
            self.new = embed_new_items(self.run, FeatureStore(new_items))
        self.histories = histories(self.run.config)
        tokens = self.dataset.field2id_token
        self.user_tokens, self.items = (
            np.asarray(tokens[field]).astype(str) for field in (self.dataset.uid_field, self.dataset.iid_field)
        )
        self.users = {token: k for k, token in enumerate(self.user_tokens.tolist()) if k}

    def ids_of(self, users: Optional[Sequence[str]]) -> List[int]:
        """Return the internal ids of users; None takes all of them. An unknown user is an InputError."""
        if users is None:
            return list(self.users.values())
        for user in users:
            if user not in self.users:
                raise InputError(
                    f"user {user!r} is not in {self.run.config['dataset']}.{nearest(user, list(self.users)[:10000])}"
                )
        return [self.users[user] for user in users]

    def history(self, user: str) -> List[str]:
        """Return the external ids of a user's items in time order."""
        return self.items[self.histories.of(self.users[user])].tolist()

    @torch.no_grad()
    def top(self, users: Optional[Sequence[str]] = None, k: int = 10) -> Iterator[pd.DataFrame]:
        """Yield the k best items of each user, a block of users at a time.

        Args:
            users: external ids; None: all.
            k: items per user. A user who has almost everything may get fewer.

        Returns:
            Columns ``user_id``, ``rank`` (from 1), ``item_id``, ``score``, ``new`` (the item came after training).
        """
        ids = self.ids_of(users)
        names = self.items if self.new is None else np.concatenate([self.items, self.new.ids])
        if not 1 <= k < len(names):
            raise InputError(f"k={k}: expected a whole number from 1 to {len(names) - 1}")
        self.model.eval()
        step = max(1, BLOCK_SCORES // len(names))
        with nullcontext() if self.new is None else extended(self.model, self.new):
            for start in range(0, len(ids), step):
                yield self._top(np.asarray(ids[start : start + step]), k, names)

    def _top(self, users: np.ndarray, k: int, names: np.ndarray) -> pd.DataFrame:
        scores = self._scores(users)
        scores[:, 0] = -torch.inf
        if not self.repeat:
            seen = [self.histories.of(user) for user in users]
            row = np.repeat(np.arange(len(users)), [len(items) for items in seen])
            scores[torch.from_numpy(row), torch.from_numpy(np.concatenate(seen))] = -torch.inf
        values, places = scores.topk(k, dim=1)
        keep = torch.isfinite(values).numpy()
        place = places.numpy()[keep]
        return pd.DataFrame(
            {
                "user_id": np.repeat(self.user_tokens[users], keep.sum(axis=1)),
                "rank": np.broadcast_to(np.arange(1, k + 1), keep.shape)[keep].astype(np.int32),
                "item_id": names[place],
                "score": values.numpy()[keep],
                "new": place >= len(self.items),
            }
        )

    def _scores(self, users: np.ndarray) -> Tensor:
        """Return the scores of items, then new items, (n_users, n_columns), on the CPU."""
        interaction = inference_batch(self.run.config, users, self.histories).to(self.device)
        name, n_items = self.run.config["model"], len(self.items)
        first = n_items if self.new is None else self.model.items.num_embeddings  # column of the first new item
        n_columns = first + (0 if self.new is None else len(self.new.ids))
        try:
            scores = self.model.full_sort_predict(interaction)
        except NotImplementedError:
            raise InputError(f"{name} scores single items only, not the whole catalogue") from None
        scores = scores.view(len(interaction), -1).float().cpu()
        if scores.shape[1] != n_columns:
            raise InputError(
                f"{name} cannot score items that it was not trained on: they are no part of its graph or its layers"
            )
        return scores if first == n_items else torch.cat([scores[:, :n_items], scores[:, first:]], dim=1)
