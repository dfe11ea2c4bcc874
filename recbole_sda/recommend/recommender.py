"""The top k items of each user, from a trained model."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Union

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recbole_sda.data.user_histories import histories, history_batch, inference_batch
from recbole_sda.engine import run as runs
from recbole_sda.errors import InputError, nearest
from recbole_sda.features.store import FeatureStore
from recbole_sda.io.ids import id_text, ids_of
from recbole_sda.model.item_features import item_tokens
from recbole_sda.recommend.new_items import NewItems, embed_new_items
from recbole_sda.recommend.rerank import MMR, mmr_by_store
from recbole_sda.recommend.scoring import Best, scores_of_columns
from recbole_sda.validation import Range

BLOCK_SCORES = 5_000_000  # scores in memory at a time, 20 MB


class Recommender:
    r"""A trained model that scores and recommends items.

    Scores are computed from all known interactions of a user, those of validation and test included: they are for use, not for
    evaluation.

    Args:
        run_dir: folder of a finished run.
        new_items: directory of a feature store with items that were added after training; they are scored from their features
            and the trained items that are most similar to them.
        repeat: whether items that a user already has can be recommended; None: as in the run's evaluation, where the data decide
            (see the key ``mask_history``).
        overrides: keys that replace those of the run's configuration, such as ``data_path``.

    Attributes:
        user_ids: external user id -> internal id.
        item_tokens: external item ids by internal id; 0 is the padding item.
        new: the new items, or None.
        columns: external ids of the scored columns: the padding item, the items, the new items.

    Raises:
        InputError: the folder is not a finished run, its data are gone, or the new items do not fit the model.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from recbole_sda.engine import experiment
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "shop").mkdir()
        >>> rows = [f"u{user}\ti{(user + 3 * time) % 30}\t{time}" for user in range(40) for time in range(8)]
        >>> text = "\n".join(["user_id:token\titem_id:token\ttimestamp:float", *rows])
        >>> _ = (folder / "shop/shop.inter").write_text(text)
        >>> keys = {"data_path": str(folder), "epochs": 1, "run_dir": str(folder / "run")}
        >>> _ = experiment.run("BPR", "shop", (), keys)
        >>> recommender = Recommender(folder / "run")
        >>> scores = recommender.scores(["u0", "u1"])
        >>> scores.shape
        (2, 30)
        >>> table = pd.concat(recommender.top(["u0", "u1"], k=3))
        >>> table.columns.tolist()
        ['user_id', 'rank', 'item_id', 'score', 'new']
        >>> table["user_id"].tolist(), table["rank"].tolist()
        (['u0', 'u0', 'u0', 'u1', 'u1', 'u1'], [1, 2, 3, 1, 2, 3])
        >>> first = table.iloc[0]
        >>> bool(scores.loc["u0", first["item_id"]] == first["score"])
        True
        >>> first["item_id"] in recommender.history("u0")
        False
    """

    def __init__(
        self,
        run_dir: Union[str, Path],
        new_items: Union[str, Path, None] = None,
        repeat: Optional[bool] = None,
        overrides: Optional[Dict[str, Any]] = None,
    ):
        self.run = runs.load(run_dir, overrides)
        self.repeat = not self.run.data.history.masked if repeat is None else repeat
        self.model: Any = self.run.model
        self.dataset: Any = self.run.data.dataset
        self.device = self.run.config["device"]
        self.new: Optional[NewItems] = None
        if new_items is not None:
            self.new = embed_new_items(self.run, FeatureStore(new_items))
        self.histories = histories(self.run.config)
        tokens = self.dataset.field2id_token
        self.user_tokens, self.item_tokens = (
            np.asarray(tokens[field]).astype(str) for field in (self.dataset.uid_field, self.dataset.iid_field)
        )
        self.columns: np.ndarray = (
            self.item_tokens if self.new is None else np.concatenate([self.item_tokens, self.new.ids])
        )
        self._holds_new_items = False
        self.user_ids: Dict[str, int] = {id_text(token): k for k, token in enumerate(self.user_tokens.tolist()) if k}

    def history(self, user: str) -> List[str]:
        """Return the external ids of a user's items in time order; an unknown user is an InputError."""
        return self.item_tokens[self.histories.of(self.internal_ids([user])[0])].tolist()

    @torch.no_grad()
    def scores(self, users: Sequence[str]) -> pd.DataFrame:
        """Return the score of every item for some users.

        Args:
            users: external ids; an unknown one is an InputError.

        Returns:
            One row per user, one column per item, then per new item (external ids), float32. Items that a user already has
            are included.
        """
        ids = np.asarray(self.internal_ids(users), dtype=np.int64)
        self.evaluate()
        with self.with_new_items():
            scores = self._scores(inference_batch(self.run.config, ids, self.histories))
        return pd.DataFrame(scores[:, 1:].numpy(), index=list(users), columns=self.columns[1:])

    def top(
        self, users: Optional[Sequence[str]] = None, k: int = 10, rerank: Optional[MMR] = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the top k items of each user, one table per block of users.

        Blocks limit the memory: ``pd.concat(recommender.top(users))`` is the whole table.

        Args:
            users: external ids; None: all.
            k: items per user, from 1 to the number of items. A user who already has nearly all items may get fewer.
            rerank: from :meth:`mmr`, for more diverse lists; None: in the order of the scores.

        Yields:
            Tables with the columns ``user_id``, ``rank`` (from 1), ``item_id``, ``score`` and ``new`` (whether the item was
            added after training).

        Raises:
            InputError: a user is unknown, k is out of range, or the model cannot score all items.
        """
        ids, start = np.asarray(self.internal_ids(users), dtype=np.int64), 0
        for best in self.best_of_users(ids, k, rerank=rerank):
            yield self._table(ids[start : start + len(best.column)], best)
            start += len(best.column)

    def best_of_users(
        self,
        ids: np.ndarray,
        k: int,
        candidates: Optional[np.ndarray] = None,
        repeat: Optional[bool] = None,
        rerank: Optional[MMR] = None,
    ) -> Iterator[Best]:
        """Yield the best k columns of each user, one block of users after the other.

        Args:
            ids: internal ids of users, (n,), int64.
            k: columns per user, from 1 to the number of items.
            candidates: which columns can be among them, (n_columns,), bool; None: all items.
            repeat: whether the items that a user already has are candidates; None: as the recommender was made.
            rerank: how the list is chosen from the best candidates; None: by score.
        """

        def part(rows: slice) -> Any:
            seen = [self.histories.of(user) for user in ids[rows]]
            return inference_batch(self.run.config, ids[rows], self.histories), seen

        return self._best(part, len(ids), k, candidates, repeat, rerank)

    def best_of_histories(
        self,
        item_lists: Sequence[np.ndarray],
        k: int,
        candidates: Optional[np.ndarray] = None,
        repeat: Optional[bool] = None,
    ) -> Iterator[Best]:
        """Yield the best k columns after each sequence of items, see :meth:`best_of_users`.

        Args:
            item_lists: internal ids of items, oldest first, at least one each, int64.

        Raises:
            InputError: the model has a vector per user.
        """

        def part(rows: slice) -> Any:
            return history_batch(self.run.config, item_lists[rows]), item_lists[rows]

        with self.needs_no_user():
            yield from self._best(part, len(item_lists), k, candidates, repeat)

    def evaluate(self) -> None:
        """Put the model into evaluation mode. One that is in it already keeps its encoded items, which ``eval()`` discards."""
        if self.model.training:
            self.model.eval()

    @contextmanager
    def needs_no_user(self) -> Iterator[None]:
        """Context manager in which a model that reads the user of a batch, where there is none, raises an InputError."""
        try:
            yield
        except KeyError:
            raise InputError(
                f"{self.run.config['model']}: a model of this run has a vector per user; give users instead of histories"
            ) from None

    def mmr(self, weight: float = 0.7, candidates: int = 100, features: Optional[str] = None) -> MMR:
        """Return a re-ranking for :meth:`top` by maximal marginal relevance, with the items' similarity from a feature store.

        Args:
            weight: of the relevance, in [0, 1]; 1 keeps the order of the scores.
            candidates: best items of a user that can be in the list, at least 1.
            features: ``STORE`` or ``STORE/MODALITY`` of the data set; None: the text of the only or default store.

        Raises:
            InputError: a value is out of range, or there is no such store or modality, or new items have no such vectors.
        """
        return mmr_by_store(
            self.run.config["data_path"], item_tokens(self.dataset), self.new, weight, candidates, features
        )

    def internal_ids(self, users: Optional[Sequence[str]]) -> List[int]:
        """Return the internal ids of users; None: all users."""
        if users is None:
            return list(self.user_ids.values())
        ids = ids_of(users, "users")
        for user in ids:
            if user not in self.user_ids:
                close = nearest(user, list(self.user_ids)[:10000])
                raise InputError(f"user {user!r} is not in {self.run.config['dataset']}.{close}")
        return [self.user_ids[user] for user in ids]

    @contextmanager
    def with_new_items(self) -> Iterator[None]:
        """Context manager in which the model holds the new items. Within it, further calls need not encode the items again."""
        if self.new is None or self._holds_new_items:
            yield
            return
        with self.model.completed(self.new.completion):
            self._holds_new_items = True
            try:
                yield
            finally:
                self._holds_new_items = False

    @torch.no_grad()
    def _best(
        self,
        part: Callable[[slice], Any],
        n: int,
        k: int,
        candidates: Optional[np.ndarray],
        repeat: Optional[bool],
        rerank: Optional[MMR] = None,
    ) -> Iterator[Best]:
        """Yield the best columns of n rows, of which ``part`` gives a slice as a batch and the items that each row has."""
        k = Range(1, len(self.columns)).check("k", k, whole=True)
        if rerank is not None and k > rerank.candidates:
            raise InputError(f"k={k}: expected at most the number of candidates of the re-ranking, {rerank.candidates}")
        left_out = None if candidates is None else torch.from_numpy(~candidates)
        self.evaluate()
        step = max(1, BLOCK_SCORES // len(self.columns))
        with self.with_new_items():
            for start in range(0, n, step):
                batch, seen = part(slice(start, start + step))
                scores = self._scores(batch)
                scores[:, 0] = -torch.inf
                if left_out is not None:
                    scores[:, left_out] = -torch.inf
                if not (self.repeat if repeat is None else repeat):
                    row = np.repeat(np.arange(len(seen)), [len(items) for items in seen])
                    scores[torch.from_numpy(row), torch.from_numpy(np.concatenate(seen))] = -torch.inf
                values, columns = scores.topk(k, dim=1) if rerank is None else rerank.best(scores, k)
                yield Best(columns.numpy(), values.numpy())

    def _table(self, users: np.ndarray, best: Best) -> pd.DataFrame:
        keep = np.isfinite(best.score)
        column = best.column[keep]
        return pd.DataFrame(
            {
                "user_id": np.repeat(self.user_tokens[users], keep.sum(axis=1)),
                "rank": np.broadcast_to(np.arange(1, keep.shape[1] + 1), keep.shape)[keep].astype(np.int32),
                "item_id": self.columns[column],
                "score": best.score[keep],
                "new": column >= len(self.item_tokens),
            }
        )

    def _scores(self, batch: Any) -> Tensor:
        n_new = 0 if self.new is None else len(self.new.ids)
        name, n_items = self.run.config["model"], len(self.item_tokens)
        return scores_of_columns(self.model, name, batch.to(self.device), n_items, n_new)
