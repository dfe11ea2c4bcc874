"""The top k items of each user, from a trained model."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Union

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from recbole_sda.data.user_histories import histories, inference_batch
from recbole_sda.engine import run as runs
from recbole_sda.errors import InputError, nearest
from recbole_sda.features.item_vectors import STEPS, store_and_modality, unit_vectors
from recbole_sda.features.store import FeatureStore
from recbole_sda.features.transforms import view_of_others
from recbole_sda.io.ids import id_text, ids_of
from recbole_sda.model.item_features import item_tokens
from recbole_sda.recommend.new_items import NewItems, embed_new_items
from recbole_sda.recommend.rerank import MMR
from recbole_sda.validation import AT_LEAST_ONE, Range

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

    Attributes:
        user_ids: external user id -> internal id.
        item_tokens: external item ids by internal id; 0 is the padding item.
        new: the new items, or None.

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
        self, run_dir: Union[str, Path], new_items: Union[str, Path, None] = None, repeat: Optional[bool] = None
    ):
        self.run = runs.load(run_dir)
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
        self.model.eval()
        with self._with_new_items():
            scores = self._scores(ids)
        return pd.DataFrame(scores[:, 1:].numpy(), index=list(users), columns=self._column_tokens()[1:])

    @torch.no_grad()
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
        ids = self.internal_ids(users)
        tokens = self._column_tokens()
        k = Range(1, len(tokens)).check("k", k, whole=True)
        if rerank is not None and k > rerank.candidates:
            raise InputError(f"k={k}: expected at most the number of candidates of the re-ranking, {rerank.candidates}")
        self.model.eval()
        step = max(1, BLOCK_SCORES // len(tokens))
        with self._with_new_items():
            for start in range(0, len(ids), step):
                yield self._top(np.asarray(ids[start : start + step]), k, tokens, rerank)

    def mmr(self, weight: float = 0.7, candidates: int = 100, features: Optional[str] = None) -> MMR:
        """Return a re-ranking for :meth:`top` by maximal marginal relevance, with the items' similarity from a feature store.

        Args:
            weight: of the relevance, in [0, 1]; 1 keeps the order of the scores.
            candidates: best items of a user that can be in the list, at least 1.
            features: ``STORE`` or ``STORE/MODALITY`` of the data set; None: the text of the only or default store.

        Raises:
            InputError: a value is out of range, or there is no such store or modality, or new items have no such vectors.
        """
        weight = Range(0, 1, closed_high=True).check("mmr_lambda", weight)
        candidates = AT_LEAST_ONE.check("rerank_candidates", candidates, whole=True)
        store, modality = store_and_modality(self.run.config["data_path"], features)
        vectors = unit_vectors(store, modality, item_tokens(self.dataset))
        if self.new is not None:
            others = self.new.store
            others.check_modalities([modality])
            rows = others.rows(self.new.ids)
            vectors = torch.cat([vectors, F.normalize(view_of_others(store, others, modality, STEPS)[rows], dim=1)])
        return MMR(vectors, weight, candidates)

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

    def _column_tokens(self) -> np.ndarray:
        """Return the external ids of the columns of :meth:`_scores`."""
        return self.item_tokens if self.new is None else np.concatenate([self.item_tokens, self.new.ids])

    def _with_new_items(self) -> AbstractContextManager[None]:
        return nullcontext() if self.new is None else self.model.completed(self.new.completion)

    def _top(self, users: np.ndarray, k: int, tokens: np.ndarray, rerank: Optional[MMR]) -> pd.DataFrame:
        scores = self._scores(users)
        scores[:, 0] = -torch.inf
        if not self.repeat:
            seen = [self.histories.of(user) for user in users]
            row = np.repeat(np.arange(len(users)), [len(items) for items in seen])
            scores[torch.from_numpy(row), torch.from_numpy(np.concatenate(seen))] = -torch.inf
        values, columns = scores.topk(k, dim=1) if rerank is None else rerank.best(scores, k)
        keep = torch.isfinite(values).numpy()
        column = columns.numpy()[keep]
        return pd.DataFrame(
            {
                "user_id": np.repeat(self.user_tokens[users], keep.sum(axis=1)),
                "rank": np.broadcast_to(np.arange(1, k + 1), keep.shape)[keep].astype(np.int32),
                "item_id": tokens[column],
                "score": values.numpy()[keep],
                "new": column >= len(self.item_tokens),
            }
        )

    def _scores(self, users: np.ndarray) -> Tensor:
        """Return the scores of the padding item, the items and the new items, (n_users, n_columns), float32 on the CPU."""
        interaction = inference_batch(self.run.config, users, self.histories).to(self.device)
        name, n_items = self.run.config["model"], len(self.item_tokens)
        n_new = 0 if self.new is None else len(self.new.ids)
        try:
            scores = self.model.full_sort_predict(interaction)
        except NotImplementedError:
            raise InputError(f"{name} scores single items only, not all items at once") from None
        scores = scores.view(len(interaction), -1).float().cpu()
        first_new = scores.shape[1] - n_new
        if first_new < n_items:
            raise InputError(
                f"{name} cannot score items that it was not trained on: its graph or its layers do not include them"
            )
        # Between the items and the new items the table may have other rows, such as a mask token.
        return scores if first_new == n_items else torch.cat([scores[:, :n_items], scores[:, first_new:]], dim=1)
