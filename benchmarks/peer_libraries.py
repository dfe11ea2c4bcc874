"""SASRec of the three libraries that ``peers.py`` compares, each trained by its own library, behind one interface.

A class has ``epoch()``, which trains one epoch and returns its seconds, ``lists(phase)``, which returns the ``TOPK + 1`` best items
of all users and their scores, the torch module ``model``, and ``batch`` and ``steps``, the size of a batch and the steps per epoch.
Imports are local, so that the process of one library does not load another.
"""

import logging
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from peer_protocol import HELD_OUT, TOPK, Split

from recbole_sda.cli.exit_status import silence_recbole
from recbole_sda.errors import InputError

INSTALL = (
    "pip install --target DIR --no-deps rectools==0.19.0 pytorch-lightning lightning-utilities torchmetrics implicit typeguard "
    "nmslib-metabrainz threadpoolctl aiohttp multidict yarl frozenlist aiosignal propcache attrs aiohappyeyeballs pydantic "
    "pydantic-core annotated-types typing-inspection"
)


class RecBole:
    """RecBole's SASRec with RecBole's dataloaders and trainer; known items are masked here, because RecBole does not."""

    masks_known_items = False

    def __init__(self, split: Split, options: dict):
        from recbole_sda.engine.run import configure

        silence_recbole()
        logging.getLogger("recbole_sda").setLevel(logging.WARNING)
        self.split, self.options, self.folder = split, options, TemporaryDirectory()
        same = ("data_path", "hidden_size", "n_layers", "n_heads", "MAX_ITEM_LIST_LENGTH", "learning_rate", "seed")
        keys = {key: options[key] for key in (*same, "epochs", "train_batch_size", "warmup_epochs", "threads")}
        keys |= {f"{place}_dropout_prob": options["dropout"] for place in ("hidden", "attn")}
        keys |= {"inner_size": options["hidden_size"], "hidden_act": "relu", "loss_type": "CE", "use_gpu": False}
        keys |= {"mask_history": True, "checkpoint_dir": self.folder.name}
        self._build(configure("SASRec", options["dataset"], (), keys))
        tokens = self.train._dataset.field2token_id
        self.user = self._numbers(tokens[self.train._dataset.uid_field], split.users)
        item_ids = tokens[self.train._dataset.iid_field]
        self.item = self._numbers(item_ids, split.items)
        self.id_of_item = np.array([item_ids[token] for token in split.items])
        self.trainer.tot_item_num = self.train._dataset.item_num
        self.steps, self.batch = len(self.train), f"{options['train_batch_size']} targets"
        self.epochs_done = 0

    def _build(self, config) -> None:
        from recbole.data import create_dataset, data_preparation
        from recbole.utils import get_trainer, init_seed

        from recbole_sda.model.registry import plain_model
        from recbole_sda.recbole_patches.scoped import tensorboard_folder

        init_seed(config["seed"], config["reproducibility"])
        self.train, valid, test = data_preparation(config, create_dataset(config))
        self.loaders = {"valid": valid, "test": test}
        self.model = plain_model("SASRec")(config, self.train._dataset).to(config["device"])
        with tensorboard_folder(self.folder.name):
            self.trainer = get_trainer(config["MODEL_TYPE"], "SASRec")(config, self.model)

    @staticmethod
    def _numbers(ids: dict, tokens: np.ndarray) -> np.ndarray:
        """Return the number of each of RecBole's ids, -1 for padding."""
        numbers = np.full(len(ids), -1)
        numbers[[ids[token] for token in tokens]] = np.arange(len(tokens))
        return numbers

    def epoch(self) -> float:
        """Train one epoch; return its seconds."""
        import torch

        started = time.perf_counter()
        with torch.autograd.set_detect_anomaly(bool(self.options["detect_anomaly"])):
            self.trainer._train_epoch(self.train, self.epochs_done)
        self.epochs_done += 1
        return time.perf_counter() - started

    def lists(self, phase: str) -> tuple:
        """Return the best items of all users and their scores, see :func:`judge`."""
        import torch

        shape, known = (len(self.split.users), TOPK + 1), self.split.known(phase)
        items, scores = np.full(shape, -1), np.full(shape, -np.inf, dtype=np.float32)
        targets = self.split.targets(phase)
        self.model.eval()
        with torch.no_grad():
            for batch in self.loaders[phase]:
                interaction, batch_scores, _, positives = self.trainer._full_sort_batch_eval(batch)
                users = self.user[interaction[self.train._dataset.uid_field].numpy()]
                if not np.array_equal(self.item[positives.numpy()], targets[users]):
                    raise InputError(
                        "RecBole sorts by times in float32, which differs here: number the interactions instead"
                    )
                if not self.masks_known_items:
                    rows, items_of_rows = known.take(users)
                    batch_scores[rows, self.id_of_item[items_of_rows.numpy()]] = -torch.inf
                best = batch_scores.topk(TOPK + 1, dim=1)
                items[users], scores[users] = self.item[best.indices.numpy()], best.values.numpy()
        return items, scores


class RecboleSda(RecBole):
    """This package's SASRec, with the data, the model and the trainer that the main command makes."""

    masks_known_items = True

    def _build(self, config) -> None:
        from recbole_sda.engine.run import build

        run = build(config, Path(self.folder.name))
        self.train, self.model, self.trainer = run.data.train, run.model, run.trainer
        self.loaders = {"valid": run.data.valid, "test": run.data.test}
        self.trainer._start_warmup(self.train)


class RecTools:
    """RecTools' SASRec."""

    def __init__(self, split: Split, options: dict):
        sys.path += [str(options["rectools"])] if options["rectools"] else []
        try:
            from pytorch_lightning import Callback, Trainer, seed_everything
            from rectools.dataset import Dataset
            from rectools.models import SASRecModel
        except ImportError as error:
            raise InputError(f"--rectools={options['rectools']}: {error}; install it with: {INSTALL}") from None

        class Timer(Callback):
            """Seconds of an epoch, without the preparation of the data, which RecTools repeats in each call."""

            def on_train_epoch_start(self, *_):
                self.seconds = -time.perf_counter()

            def on_train_epoch_end(self, *_):
                self.seconds += time.perf_counter()

        def trainer() -> Trainer:
            quiet = dict(
                logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False
            )
            return Trainer(max_epochs=1, accelerator="cpu", devices=1, callbacks=[Timer()], **quiet)

        warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning|rectools|torch|pydantic)\b")
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        seed_everything(options["seed"], verbose=False)
        self.split, self.timer = split, Timer
        self.data = {phase: Dataset.construct(self._table(phase)) for phase in HELD_OUT}
        longest = options["MAX_ITEM_LIST_LENGTH"]
        targets = np.minimum(split.known("valid").length, longest + 1) - 1
        targets = targets[targets > 0]  # of the users that RecTools trains on
        sequences = max(1, round(options["train_batch_size"] / targets.mean()))
        self.steps, self.batch = -(-len(targets) // sequences), f"{sequences} sequences"
        self.sasrec = SASRecModel(
            n_blocks=options["n_layers"], n_heads=options["n_heads"], n_factors=options["hidden_size"],
            dropout_rate=options["dropout"], session_max_len=longest, loss="softmax", lr=options["learning_rate"],
            batch_size=sequences, get_trainer_func=trainer, recommend_torch_device="cpu",
        )  # fmt: skip

    def _table(self, phase: str) -> pd.DataFrame:
        """Return the known items of a phase with their places as times."""
        known = self.split.known(phase)
        rows, items = (column.numpy() for column in known.take(np.arange(len(self.split.users))))
        times = pd.to_datetime(np.arange(len(rows)) - known.start[rows], unit="s")
        return pd.DataFrame({"user_id": rows, "item_id": items, "weight": 1.0, "datetime": times})

    @property
    def model(self):
        """The torch module, which exists after the first epoch."""
        return self.sasrec.torch_model

    def epoch(self) -> float:
        """Train one epoch; return its seconds."""
        self.sasrec.fit_partial(self.data["valid"], min_epochs=1, max_epochs=1)
        return next(part.seconds for part in self.sasrec.fit_trainer.callbacks if isinstance(part, self.timer))

    def lists(self, phase: str) -> tuple:
        """Return the best items of all users and their scores, see :func:`judge`."""
        shape = (len(self.split.users), TOPK + 1)
        items, scores = np.full(shape, -1), np.full(shape, -np.inf, dtype=np.float32)
        table = self.sasrec.recommend(np.arange(shape[0]), self.data[phase], k=TOPK + 1, filter_viewed=True)
        cell = table["user_id"].to_numpy(), table["rank"].to_numpy() - 1
        items[cell], scores[cell] = table["item_id"], table["score"]
        return items, scores


LIBRARIES = {"recbole_sda": RecboleSda, "RecBole": RecBole, "RecTools": RecTools}
