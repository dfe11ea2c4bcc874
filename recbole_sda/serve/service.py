"""What the service answers: recommendations for known users and for sessions, from one loaded run."""

import logging
from contextlib import contextmanager
from threading import Lock
from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy as np

from recbole_sda.errors import InputError
from recbole_sda.graphs.ann import RECALL_AT, RECALL_QUERIES, AnnIndex
from recbole_sda.io.ids import id_text
from recbole_sda.recommend.item_index import ItemIndex
from recbole_sda.recommend.recommender import Recommender
from recbole_sda.recommend.scoring import Best
from recbole_sda.serve.item_fields import Field

logger = logging.getLogger(__name__)

INDEXES = ("exact", "faiss")
SHOWN = 100  # characters of an id in a message


class Refused(Exception):
    """A request that cannot be answered.

    Attributes:
        status: of HTTP: 404 for an unknown id, 422 for another wrong value.
        message: one line for the client.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


class Service:
    """Answers of one run, by the scores of its :class:`~recbole_sda.recommend.recommender.Recommender`.

    A single thread computes at a time. :func:`opened` makes a service.

    Args:
        recommender: of the run.
        titles: external item id -> title.
        fields: values of fields by which requests can filter.
        index: ``exact`` or ``faiss``.

    Attributes:
        takes_sessions: whether the model can score items after a session, without a user.

    Raises:
        InputError: the model cannot score all items, or has no product with the items that ``faiss`` needs.
    """

    def __init__(
        self, recommender: Recommender, titles: Dict[str, str], fields: Dict[str, Field], index: str = "exact"
    ):
        self.recommender, self.titles, self.fields = recommender, titles, fields
        self._lock = Lock()
        self._column_of = columns_of_items(recommender)
        first = next(iter(recommender.user_ids.values()))
        next(recommender.best_of_users(np.array([first]), 1))
        try:
            next(recommender.best_of_histories([np.array([1])], 1))
            self.takes_sessions = True
        except InputError:
            self.takes_sessions = False
        self.index = index
        self._items: Optional[ItemIndex] = None
        if index == "faiss":
            self._items = ItemIndex(recommender)
            self._ann = AnnIndex(self._items.items)
            recall = self._ann.recall(self._items.query_vectors(self._items.user_ids[:RECALL_QUERIES]))
            logger.info("%s: recall@%d %.3f of exact search", self._ann, RECALL_AT, recall)

    def about(self) -> Dict[str, Any]:
        """Return what the service offers, for people."""
        run = self.recommender.run
        return {
            "model": run.config["model"],
            "dataset": run.config["dataset"],
            "users": len(self.recommender.user_ids),
            "items": len(self._column_of),
            "new_items": 0 if self.recommender.new is None else len(self.recommender.new.ids),
            "index": self.index,
            "sessions": self.takes_sessions,
            "fields": {name: len(values) for name, values in self.fields.items()},
        }

    def of_users(self, users: Sequence[str], options: Any) -> List[List[Dict[str, Any]]]:
        """Return the items of each user, the best first.

        Args:
            users: external ids.
            options: ``k``, ``exclude_known``, ``allow``, ``deny`` and ``where`` of a request.

        Raises:
            Refused: an id is unknown, or an option cannot be used.
        """
        known = self.recommender.user_ids
        ids = [known.get(id_text(user)) for user in users]
        for user, number in zip(users, ids):
            if number is None:
                raise Refused(404, f"unknown user {_shown(user)}")
        numbers, candidates, k = np.array(ids, dtype=np.int64), self._candidates(options), self._k(options)
        with self._lock:
            if self._items is not None and options.allow is None and options.where is None:
                queries = self._items.query_vectors([id_text(user) for user in users])
                seen = [self.recommender.histories.of(number) for number in numbers]
                return self._approximate(queries, seen, k, candidates, options)
            return self._exact(self.recommender.best_of_users(numbers, k, candidates, _repeat(options)))

    def of_sessions(self, sessions: Sequence[Sequence[str]], options: Any) -> List[List[Dict[str, Any]]]:
        """Return the items after each session, the best first; see :meth:`of_users`.

        Args:
            sessions: external ids of items, oldest first.
            options: see :meth:`of_users`.
        """
        if not self.takes_sessions:
            model = self.recommender.run.config["model"]
            raise Refused(422, f"{model} has a vector per user and takes no sessions; ask for users")
        lists = [self._columns(session, "item") for session in sessions]
        for session, columns in zip(sessions, lists):
            for token, column in zip(session, columns):
                if column >= len(self.recommender.item_tokens):
                    raise Refused(422, f"item {_shown(token)} is new: a session has items that the run was trained on")
        candidates, k = self._candidates(options), self._k(options)
        with self._lock:
            if self._items is not None and options.allow is None and options.where is None:
                tokens = [self.recommender.columns[columns].tolist() for columns in lists]
                queries = self._items.query_vectors_of_histories(tokens)
                return self._approximate(queries, lists, k, candidates, options)
            return self._exact(self.recommender.best_of_histories(lists, k, candidates, _repeat(options)))

    def _k(self, options: Any) -> int:
        n = len(self._column_of)
        if options.k > n:
            raise Refused(422, f"k={options.k}: there are {n} items")
        return int(options.k)

    def _columns(self, tokens: Sequence[str], what: str) -> np.ndarray:
        """Return the columns of items, (n,), int64; an unknown one is refused."""
        columns = [self._column_of.get(id_text(token)) for token in tokens]
        for token, column in zip(tokens, columns):
            if column is None:
                raise Refused(404, f"unknown {what} {_shown(token)}")
        return np.array(columns, dtype=np.int64)

    def _candidates(self, options: Any) -> Optional[np.ndarray]:
        """Return which columns the options leave, (n_columns,), bool; None: all."""
        if options.allow is options.deny is options.where is None:
            return None
        n = len(self.recommender.columns)
        candidates = np.ones(n, dtype=bool)
        if options.allow is not None:
            candidates &= _among(n, self._columns(options.allow, "item in allow"))
        for name, values in (options.where or {}).items():
            candidates &= _among(n, self._columns_with(name, values))
        if options.deny is not None:
            candidates[self._columns(options.deny, "item in deny")] = False
        return candidates

    def _columns_with(self, name: str, values: Sequence[str]) -> np.ndarray:
        """Return the columns of the items with one of some values in a field."""
        if name not in self.fields:
            there = f"there are {', '.join(self.fields)}" if self.fields else "the service was started without fields"
            raise Refused(422, f"where: {_shown(name)} is no field to filter by; {there}")
        for value in values:
            if value not in self.fields[name]:
                raise Refused(422, f"where: no item has {_shown(value)} in the field {name}")
        return np.concatenate([np.empty(0, np.int64), *(self.fields[name][value] for value in values)])

    def _exact(self, blocks: Iterator[Best]) -> List[List[Dict[str, Any]]]:
        results = []
        for best in blocks:
            for columns, scores in zip(best.column, best.score):
                keep = np.isfinite(scores)
                results.append(self._rows(columns[keep], scores[keep]))
        return results

    def _approximate(
        self,
        queries: np.ndarray,
        seen: Sequence[np.ndarray],
        k: int,
        candidates: Optional[np.ndarray],
        options: Any,
    ) -> List[List[Dict[str, Any]]]:
        """Return the items that the approximate index finds, without those that each row has and those of the deny-list."""
        repeat = self.recommender.repeat if options.exclude_known is None else not options.exclude_known
        n_out = (0 if candidates is None else int((~candidates).sum())) + (0 if repeat else max(map(len, seen)))
        found, inner = self._ann.search(queries, min(k + n_out, len(self._column_of)))
        results = []
        for row, (columns, scores) in enumerate(zip(found + 1, inner)):
            keep = columns > 0
            if candidates is not None:
                keep &= candidates[columns]
            if not repeat:
                keep &= ~np.isin(columns, seen[row])
            results.append(self._rows(columns[keep][:k], scores[keep][:k]))
        return results

    def _rows(self, columns: np.ndarray, scores: np.ndarray) -> List[Dict[str, Any]]:
        tokens, n_items = self.recommender.columns[columns].tolist(), len(self.recommender.item_tokens)
        rows = []
        for token, column, score in zip(tokens, columns.tolist(), scores.tolist()):
            row = {"item_id": token, "score": score, "new": column >= n_items}
            title = self.titles.get(id_text(token))
            rows.append(row if title is None else {**row, "title": title})
        return rows


def columns_of_items(recommender: Recommender) -> Dict[str, int]:
    """Return the column of scores of each item and new item, by external id."""
    return {id_text(token): column for column, token in enumerate(recommender.columns.tolist()) if column}


@contextmanager
def opened(recommender: Recommender, *args: Any) -> Iterator[Service]:
    """Context manager with the :class:`Service` of a recommender, whose new items are encoded once."""
    if recommender.new is not None and "faiss" in args:
        raise InputError("--index=faiss has no rows for --new-items; leave one of them out")
    with recommender.with_new_items():
        yield Service(recommender, *args)


def _repeat(options: Any) -> Optional[bool]:
    return None if options.exclude_known is None else not options.exclude_known


def _among(n: int, columns: np.ndarray) -> np.ndarray:
    mask = np.zeros(n, dtype=bool)
    mask[columns] = True
    return mask


def _shown(text: str) -> str:
    """Return a text of a client on one line, cut to :data:`SHOWN` characters."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
