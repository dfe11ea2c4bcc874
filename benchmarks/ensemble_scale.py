"""Time and memory of an ensemble's neighbourhoods and scores by size of the catalogue, on invented interactions and vectors.

Each size runs in a separate process, so that its peak memory can be measured. There are as many users as items; a user has 5 to 15
items, and some items are far more popular than others. The ensemble has a product of 64 columns in the place of a trained model,
co-occurrence, and content vectors of 64 columns around as many centres as the square root of the catalogue. Content neighbours
(recbole_sda/graphs/knn.py) are searched by faiss, and exactly too up to ``--neighbours`` items.

    python benchmarks/ensemble_scale.py [--sizes=[100000,1000000]] [--users=1024] [--neighbours=100000] [--threads=1]
"""

import json
import logging
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Dict, Iterator, Tuple

import numpy as np
import torch
from options import check_none_left, take
from torch import Tensor
from torch.nn import functional as F

from recbole_sda.cli.exit_status import run_command
from recbole_sda.cli.run import parse
from recbole_sda.config.run_config import RunConfig as RunConfig  # makes RecBole importable
from recbole_sda.data.eval_loaders import BLOCK_SCORES
from recbole_sda.graphs.knn import nearest_neighbours
from recbole_sda.metrics.ranks import ranks_of
from recbole_sda.model.ensemble.member import Member
from recbole_sda.model.ensemble.model import Ensemble
from recbole_sda.model.ensemble.weights import collect_pool, metric_of_ranks, search_weights
from recbole_sda.model.neighbours.base import NeighbourhoodRecommender
from recbole_sda.model.neighbours.content_knn import ContentKNN
from recbole_sda.model.neighbours.sequence_knn import SequenceKNN

from recbole.data.interaction import Interaction  # isort: skip

DIM, LONGEST, TOP = 64, 50, 20
CONFIG = {
    "USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "LIST_SUFFIX": "_list", "ITEM_LIST_LENGTH_FIELD": "item_length",
    "NEG_PREFIX": "neg_", "MAX_ITEM_LIST_LENGTH": LONGEST, "device": torch.device("cpu"), "knn_neighbours": 200,
    "knn_shrinkage": 3.0, "knn_decay": 0.7, "ensemble_weights": None, "ensemble_groups": "tail", "tail_items": 4,
}  # fmt: skip


class InventedContent(ContentKNN):
    """ContentKNN on random vectors instead of a feature store's."""

    def __init__(self, config: Any, dataset: Any, vectors: Tensor):
        NeighbourhoodRecommender.__init__(self, config, dataset)
        self.register_buffer("vectors", vectors, persistent=False)


def invent(n_items: int) -> Tuple[Any, np.ndarray, np.ndarray]:
    """Return a data set as the models read it, and the users and items of its interactions; item and user 0 are padding."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(1, n_items), rng.integers(5, 16, n_items - 1))
    items = 1 + (rng.random(len(users)) ** 2 * (n_items - 1)).astype(np.int64)
    inter = Interaction({"user_id": torch.from_numpy(users), "item_id": torch.from_numpy(items)})
    counts = SimpleNamespace(items=np.bincount(items, minlength=n_items))
    fields = {"uid_field": "user_id", "iid_field": "item_id", "num": lambda field: n_items, "training_counts": counts}
    return SimpleNamespace(inter_feat=inter, user_num=n_items, item_num=n_items, **fields), users, items


def unit_vectors(n_items: int, seed: int) -> Tensor:
    """Return random vectors of length 1, (n_items, DIM); that of item 0 is zero."""
    vectors = F.normalize(torch.randn(n_items, DIM, generator=torch.Generator().manual_seed(seed)), dim=1)
    vectors[0] = 0
    return vectors


def clustered_vectors(n_items: int, seed: int) -> Tensor:
    """Return vectors of length 1 around random centres, (n_items, DIM); that of item 0 is zero."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(int(n_items**0.5), DIM, generator=generator)
    vectors = centres[torch.randint(len(centres), (n_items,), generator=generator)]
    vectors = F.normalize(vectors + torch.randn(n_items, DIM, generator=generator), dim=1)
    vectors[0] = 0
    return vectors


class Users:
    """Blocks of the first users, each with its items but the last as the history and its last item as the right one."""

    def __init__(self, users: np.ndarray, items: np.ndarray, n_items: int, n_users: int):
        self.items, self.start = items, np.searchsorted(users, np.arange(1, n_users + 2))
        self.step = max(1, BLOCK_SCORES // n_items)
        self.dataset = SimpleNamespace(inter_feat=range(n_users))

    def __iter__(self) -> Iterator[Tuple[Any, ...]]:
        for first in range(0, len(self.start) - 1, self.step):
            bounds = self.start[first : first + self.step + 1]
            lists = [self.items[a:b] for a, b in zip(bounds[:-1], bounds[1:])]
            padded = torch.zeros(len(lists), LONGEST, dtype=torch.long)
            for row, part in enumerate(lists):
                padded[row, : len(part) - 1] = torch.from_numpy(part[:-1])
            length = torch.tensor([len(part) - 1 for part in lists])
            batch = Interaction({"item_id_list": padded, "item_length": length})
            right = torch.tensor([part[-1] for part in lists])
            yield batch, None, torch.arange(len(lists)), right, None


def measure(n_items: int, n_users: int, neighbours: int) -> Dict[str, float]:
    """Return seconds, seconds of processors, and peak memory (GiB, of the process so far) of each step at a size."""
    results: Dict[str, float] = {}
    started, used = time.time(), time.process_time()

    def record(name: str) -> None:
        nonlocal started, used
        results[f"{name}, s"] = round(time.time() - started, 1)
        results[f"{name}, processor s"] = round(time.process_time() - used, 1)
        results[f"{name}, peak GiB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
        print(name, list(results.values())[-3:], file=sys.stderr, flush=True)
        started, used = time.time(), time.process_time()

    dataset, users, items = invent(n_items)
    content = clustered_vectors(n_items, 1)
    record("invented data")
    with TemporaryDirectory() as folder:
        counts = SequenceKNN({**CONFIG, "data_path": folder}, dataset)
        record("co-occurrence")
        counts = SequenceKNN({**CONFIG, "data_path": folder}, dataset)
        record("co-occurrence from the cache")
    for search in ("faiss", "exact") if n_items <= neighbours else ("faiss",):
        nearest_neighbours(content, torch.arange(n_items) > 0, 11, search=search)
        record(f"content neighbours, {search}")
    models = [
        InventedContent(CONFIG, dataset, unit_vectors(n_items, 2)),
        counts,
        InventedContent(CONFIG, dataset, content),
    ]
    members = [Member(str(k), model, LONGEST, {}, trimmed=True) for k, model in enumerate(models)]
    ensemble = Ensemble(CONFIG, dataset, members).eval()
    loader = Users(users, items, n_items, n_users)
    with torch.no_grad():
        pool = collect_pool(ensemble, loader, 100, "cpu")
        weights, *_ = search_weights(pool, metric_of_ranks("NDCG@10")[2], 2)
        ensemble.weights.copy_(weights.clamp(min=0.1))  # all members take part
        record(f"weights from {n_users} users")
        for batch, _, rows, right, _ in loader:
            scores = ensemble.full_sort_predict(batch)
            ranks_of(scores, rows, right)
            scores.topk(TOP, dim=1)
        record(f"evaluation of {n_users} users")
    return results


def action() -> None:
    """Measure each size in a process of its own and print a table."""
    keys = dict(parse(sys.argv[1:]).keys)
    size = keys.pop("size", None)  # of the process that measures it
    threads, users, neighbours, sizes = take(
        keys, threads=1, users=1024, neighbours=100_000, sizes=[100_000, 1_000_000]
    )
    check_none_left(keys, ("threads", "users", "neighbours", "sizes"))
    torch.set_num_threads(threads)
    if size is not None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")  # the recall of faiss
        print(json.dumps(measure(size, users, neighbours)))
        return
    for size in sizes:
        command = [sys.executable, str(Path(__file__)), *sys.argv[1:], f"--size={size}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(f"{size:,} items")
        for name, value in json.loads(done.stdout.splitlines()[-1]).items():
            print(f"  {name}: {value}")


if __name__ == "__main__":
    sys.exit(run_command(action))
