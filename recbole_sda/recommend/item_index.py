"""A run as one matrix of items and a query vector per user or history, for an index of vectors."""

import copy
import json
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

import numpy as np
import torch
from torch import Tensor, nn

from recbole_sda.data.user_histories import history_batch, inference_batch
from recbole_sda.errors import InputError, nearest
from recbole_sda.io.atomic_folder import atomic_folder, folder_lock
from recbole_sda.io.atomic_write import write_text
from recbole_sda.model.ensemble.products import ModelProduct, product_of
from recbole_sda.model.softmax_loss import SoftmaxLoss
from recbole_sda.recommend.recommender import Recommender

ITEMS, ITEM_IDS, QUERIES, USER_IDS, ABOUT = "items.npy", "item_ids.txt", "queries.npy", "user_ids.txt", "index.json"
BLOCK_SCORES = 2**24  # of users and items in memory at a time
PROBE = 64  # users on which the products are checked


class SequenceEncoder(nn.Module):
    """Query vectors of sequences of items: ``encoder(items, lengths) @ index.items.T`` are the scores of a run.

    The item table is one of plain rows: what features, MoDA and neighbours make of it is computed when the encoder is made.

    Args:
        model: a sequential model in evaluation mode whose ``query_vectors`` are the queries of ``product``; it is left unchanged.
        product: the model's scores as a product.
        max_length: items of a sequence.
    """

    def __init__(self, model: SoftmaxLoss, product: ModelProduct, max_length: int):
        super().__init__()
        self.max_length = max_length
        self.model = copy.copy(model)
        self.model._modules = dict(model._modules)  # a copy of the module shares them
        with torch.no_grad():
            table = model.item_embedding.weight.detach().clone()
        self.model.item_embedding = nn.Embedding.from_pretrained(table)
        self.device = table.device
        self._with_bias = product.with_bias

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return query vectors, (batch, dim), float32.

        Args:
            items: numbers of items from 1, in the order of ``ItemIndex.item_ids``, oldest first, then zeros, (batch, max_length),
                int64.
            lengths: items of each sequence, from 1 to ``max_length``, (batch,), int64.
        """
        return self._with_bias(self.model.query_vectors({self.model.ITEM_SEQ: items, self.model.ITEM_SEQ_LEN: lengths}))


def check_index_folder(path: Path) -> None:
    """Refuse to write an index to a file, or to a folder with another content."""
    if path.exists() and (not path.is_dir() or any(path.iterdir()) and not (path / ABOUT).is_file()):
        raise InputError(f"--out={path} exists and is no index ({ABOUT} is missing); choose another folder")


class ItemIndex:
    r"""The scores of a finished run as inner products: ``query_vectors(users) @ items.T``.

    The run is of one model, or an ensemble: its members become one matrix with their weights and their standardisation, exactly.
    Scores are those of :class:`~recbole_sda.recommend.recommender.Recommender`: from all known interactions of a user, those of
    validation and test included. Items that a user already has are among them.

    Args:
        run: folder of a finished run, or its recommender.

    Attributes:
        name: the folder of the run.
        items: one row per item, (n_items, dim), float32.
        item_ids: external id of each row.
        user_ids: external ids of all users.

    Raises:
        InputError: the folder is not a finished run, or the scores of the model, or of a member with a positive weight, are no
            product of a query vector and one row per item, as those of ``knn:cooccurrence``.

    Example:
        >>> import tempfile
        >>> from recbole_sda.engine import experiment
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "shop").mkdir()
        >>> rows = [f"u{user}\ti{(user + 3 * time) % 30}\t{time}" for user in range(40) for time in range(8)]
        >>> text = "\n".join(["user_id:token\titem_id:token\ttimestamp:float", *rows])
        >>> _ = (folder / "shop/shop.inter").write_text(text)
        >>> keys = {"data_path": str(folder), "epochs": 1, "run_dir": str(folder / "run")}
        >>> _ = experiment.run("BPR", "shop", (), keys)
        >>> index = ItemIndex(folder / "run")
        >>> index.items.shape, index.query_vectors(["u0", "u1"]).shape
        ((30, 64), (2, 64))
        >>> scores = index.query_vectors(["u0"]) @ index.items.T
        >>> bool(np.allclose(scores, Recommender(folder / "run").scores(["u0"]), atol=1e-5))
        True
    """

    def __init__(self, run: Union[str, Path, Recommender]):
        self._recommender = run if isinstance(run, Recommender) else Recommender(run)
        self.name = str(self._recommender.run.run_dir)
        self._config, self._model = self._recommender.run.config, self._recommender.model
        self.user_ids: List[str] = list(self._recommender.user_ids)
        self.item_ids: List[str] = self._recommender.item_tokens[1:].tolist()
        self._number_of = {token: number for number, token in enumerate(self.item_ids, start=1)}
        probe = np.asarray(list(self._recommender.user_ids.values())[:PROBE])
        self._product = product_of(self.name, self._model, self._of_users(probe).to(self._recommender.device))
        self.items: np.ndarray = self._product.rows[1:].cpu().numpy()

    def query_vectors(self, users: Sequence[str]) -> np.ndarray:
        """Return the query vectors of users, from all their known interactions, (n_users, dim), float32.

        Args:
            users: external ids; an unknown one is an InputError.
        """
        ids = np.asarray(self._recommender.internal_ids(users), dtype=np.int64)
        return self._in_blocks(lambda part: self._of_users(ids[part]), len(ids))

    def query_vectors_of_histories(self, histories: Sequence[Sequence[str]]) -> np.ndarray:
        """Return the query vectors of sequences of items, also of users that the run does not know, (n_histories, dim), float32.

        Args:
            histories: external item ids, oldest first, at least one each.

        Raises:
            InputError: an item is unknown, a history is empty, or the model has a vector per user.
        """
        for number, history in enumerate(histories):
            if not len(history):
                raise InputError(f"history {number} is empty: expected one item or more")
            for token in history:
                if token not in self._number_of:
                    close = nearest(token, self.item_ids[:10000])
                    raise InputError(f"item {token!r} is not in {self._config['dataset']}.{close}")
        lists = [np.array([self._number_of[token] for token in history]) for history in histories]
        with self._recommender.needs_no_user():
            return self._in_blocks(lambda part: history_batch(self._config, lists[part]), len(lists))

    def encoder(self) -> "SequenceEncoder":
        """Return the module that computes the query vectors of sequences, without the product with all items.

        Raises:
            InputError: the model of the run has none, as a model with a vector per user, or an ensemble.
        """
        if not getattr(self._product, "has_encoder", False):
            raise InputError(
                f"{self.name}: {self._config['model']} has no encoder of sequences of items, as SASRec, GRU4Rec, "
                "BERT4Rec and their SDA versions have; --form=index --users=all writes query vectors of users"
            )
        return SequenceEncoder(self._model, self._product, self._config["MAX_ITEM_LIST_LENGTH"])

    def write(
        self,
        folder: Union[str, Path],
        users: Optional[Sequence[str]] = None,
        encoder: Optional[Dict[str, Any]] = None,
        files: Optional[Dict[str, bytes]] = None,
    ) -> None:
        """Write the matrix of items, their ids and a description, and with ``users`` their query vectors; atomically.

        Args:
            folder: of an earlier index, which is replaced, or a new one. ``items.npy`` and ``item_ids.txt`` (one id per line)
                have the rows in the same order, as have ``queries.npy`` and ``user_ids.txt``.
            users: external ids, or None.
            encoder: the entry ``encoder`` of the description, or None.
            files: further files of the folder, by name.

        Raises:
            InputError: the folder has another content, or another process is writing it.
        """
        path = Path(folder)
        check_index_folder(path)
        parts = [(ITEMS, ITEM_IDS, self.items, self.item_ids)]
        if users is not None:
            parts.append((QUERIES, USER_IDS, self.query_vectors(users), list(users)))
        about = {**self._about(), **({"encoder": encoder} if encoder else {})}
        with folder_lock(path), atomic_folder(path) as draft:
            for matrix_name, ids_name, matrix, ids in parts:
                np.save(draft / matrix_name, matrix)
                write_text(draft / ids_name, "\n".join(ids) + "\n")
            for name, content in (files or {}).items():
                (draft / name).write_bytes(content)
            write_text(draft / ABOUT, json.dumps(about, indent=2, default=str) + "\n")

    def _about(self) -> Dict[str, Any]:
        record: Any = getattr(self._model, "record", None)
        about = {"run": self.name, "model": self._config["model"], "score": "inner product"}
        return {
            **about,
            "items": self.items.shape[0],
            "dim": self.items.shape[1],
            **({"ensemble": record} if record else {}),
        }

    def _of_users(self, ids: np.ndarray) -> Any:
        return inference_batch(self._config, ids, self._recommender.histories)

    def _in_blocks(self, batch_of: Callable[[slice], Any], n: int) -> np.ndarray:
        """Return the query vectors of n rows, of which ``batch_of`` gives a part as a batch."""
        self._recommender.evaluate()
        step, device = max(1, BLOCK_SCORES // (len(self.item_ids) + 1)), self._recommender.device
        batches = (batch_of(slice(start, start + step)) for start in range(0, n, step))
        blocks = [self._product.queries(batch.to(device)).cpu().numpy() for batch in batches]
        return np.concatenate([np.empty((0, self.items.shape[1]), np.float32), *blocks])
