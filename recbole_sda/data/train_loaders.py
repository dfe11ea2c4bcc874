"""Training dataloaders beside RecBole's own: packed and trimmed sequences."""

import logging
from itertools import cycle, islice
from typing import Iterator, List, Optional

import numpy as np
import torch
from torch import distributed

from recbole_sda.data.packing import Windows, assemble, batch_plan, cut
from recbole_sda.errors import InputError
from recbole_sda.model.registry import BaseModelSpec
from recbole_sda.recbole_patches import compat

compat.apply()

from recbole.data.interaction import Interaction  # noqa: E402

logger = logging.getLogger(__name__)


def train_windows(dataset, max_length: int, stride: int) -> Optional[Windows]:
    """Return the windows of a RecBole sequential training set, or None where its samples are not all prefixes.

    Args:
        dataset: RecBole's training part: one sample per prefix of each user's sequence.
        max_length: MAX_ITEM_LIST_LENGTH.
        stride: see :func:`recbole_sda.data.packing.cut`.
    """
    samples = dataset.inter_feat
    user = samples[dataset.uid_field].numpy()
    order = np.argsort(user, kind="stable")
    user, target = user[order], samples[dataset.iid_field].numpy()[order]
    length = samples[dataset.item_list_length_field].numpy()[order]
    users, first, counts = np.unique(user, return_index=True, return_counts=True)
    number = np.arange(len(user)) - np.repeat(first, counts)  # of the sample among its user's
    if not np.array_equal(length, np.minimum(number + 1, max_length)):
        return None
    opening = samples[order[first]][dataset.item_id_list_field][:, 0].numpy()  # the item that is no target
    items = np.insert(target, first, opening)
    return cut(items, counts + 1, users, max_length, stride)


class LengthLoader:
    """What both loaders share: batches of rows of like length, drawn anew for every epoch.

    Args:
        loader: RecBole's training dataloader; its generator, of which checkpoints keep the state, draws the batches.
        length: of each row, (n_rows,).
        weight: of each row, (n_rows,), its number of targets or proportional to it.
        size: weight of a batch.
    """

    def __init__(self, loader, length: np.ndarray, weight: np.ndarray, size: int):
        self.loader, self.length, self.weight, self._size = loader, length, weight, size
        self.dataset = self._dataset = loader._dataset
        self.config, self.shuffle, self.generator = loader.config, loader.shuffle, loader.generator
        self._n_processes = 1 if self.config["single_spec"] else self.config["world_size"]
        self.sampler = (
            self  # where RecBole tells the epoch to; the generator, the same in all processes, goes by itself
        )
        self._n_batches = len(self._plan(np.random.default_rng(0)))

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: see ``sampler``."""

    def get_model(self, model) -> None:
        """Tell RecBole's loader the model, which chooses among dynamic negatives."""
        self.loader.get_model(model)

    def _plan(self, rng: np.random.Generator) -> List[np.ndarray]:
        """Return this process's batches; as in RecBole, ``train_batch_size`` is that of all processes together."""
        n = self._n_processes
        plan = batch_plan(self.length, self.weight, max(1, self._size // n), rng, self.shuffle)
        if n == 1:
            return plan
        equal = -(-len(plan) // n) * n  # some batches again, so that all processes have equally many
        return list(islice(cycle(plan), equal))[distributed.get_rank() :: n]

    def __len__(self) -> int:
        """Batches of the epoch that was drawn last; epochs of packed sequences differ by a few."""
        return self._n_batches

    def __iter__(self) -> Iterator[Interaction]:
        plan = self._plan(np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator))))
        self._n_batches = len(plan)
        return map(self.batch, plan)

    def batch(self, chosen: np.ndarray) -> Interaction:
        """Return the batch of some rows."""
        raise NotImplementedError


class PackedLoader(LengthLoader):
    """Batches of packed sequences, made on the device of the run, where the whole epoch's data stay.

    Yields RecBole interactions with the padded inputs (batch, seq_len), their lengths (batch,), and under the item id
    the targets (batch, seq_len), 0 where there is none. ``train_batch_size`` counts targets.
    """

    kind = "packed"

    def __init__(self, loader, windows: Windows):
        super().__init__(loader, windows.length, windows.n_targets, loader.config["train_batch_size"])
        self.windows = windows.to(self.config["device"])

    def batch(self, chosen: np.ndarray) -> Interaction:
        rows = torch.as_tensor(chosen, device=self.windows.start.device)
        inputs, targets = assemble(self.windows, rows)
        return Interaction(
            {
                self.dataset.uid_field: self.windows.user[rows],
                self.dataset.item_id_list_field: inputs,
                self.dataset.item_list_length_field: self.windows.length[rows],
                self.dataset.iid_field: targets,
            }
        )


class TrimmedLoader(LengthLoader):
    """RecBole's batches, of samples of like length, without the padding that none of them needs.

    Args:
        loader: RecBole's training dataloader.
        masked: whether the samples' targets are masks put into them. Then a longer sample has more targets, and a batch
            holds as many samples as make up the targets that are expected in a batch of mixed lengths: its mean weighs
            each target as RecBole's does.
    """

    kind = "trimmed"

    def __init__(self, loader, masked: bool = False):
        length = loader._dataset.inter_feat[loader._dataset.item_list_length_field].numpy()
        weight = _expected_masks(length, loader.config) if masked else np.ones_like(length)
        samples = max(1, loader.config["train_batch_size"] // loader.times)  # each comes with its negatives
        size = max(1, round(samples * weight.mean()))
        super().__init__(loader, length, weight, size)

    def batch(self, chosen: np.ndarray) -> Interaction:
        return trim(self.loader.collate_fn(chosen), self.config)


def _expected_masks(length: np.ndarray, config) -> np.ndarray:
    """Return the expected targets of samples of each length, in hundredths, at least one.

    RecBole masks each item with probability ``mask_ratio``, but in a share ``ft_ratio`` of batches the last item alone;
    a mask at the first position is no target.
    """
    ratio, last = config["mask_ratio"], config["ft_ratio"]
    most = int(ratio * config["MAX_ITEM_LIST_LENGTH"])
    expected = (1 - last) * np.minimum(ratio * (length - 1), most) + last * (length > 1)
    return 1 + (100 * expected).astype(np.int64)


def trim(interaction: Interaction, config) -> Interaction:
    """Cut the histories of a batch, in place, to the longest of them."""
    longest = int(interaction[config["ITEM_LIST_LENGTH_FIELD"]].max())
    fields = [name for name in interaction.interaction if name.endswith(config["LIST_SUFFIX"])]
    interaction.update(Interaction({name: interaction[name][:, :longest] for name in fields}))
    return interaction


def fast_loader(config, loader, row: BaseModelSpec):
    """Return a faster form of RecBole's training dataloader, or ``loader`` itself where there is none.

    Args:
        config: the run's configuration.
        loader: RecBole's training dataloader of a sequential model.
        row: the model's row of the model table.
    """
    if not config["fast_sequences"] or row.sequences == "padded":
        return loader
    if row.sequences == "packed" and config["loss_type"] == "CE":
        longest = config["MAX_ITEM_LIST_LENGTH"]
        stride = max(1, longest // 2) if config["packed_stride"] is None else config["packed_stride"]
        if not isinstance(stride, int) or not 1 <= stride <= longest:
            raise InputError(
                f"packed_stride={stride!r}: expected a whole number from 1 to {longest}, MAX_ITEM_LIST_LENGTH"
            )
        windows = train_windows(loader._dataset, longest, stride)
        if windows is not None:
            n_targets, n_rows = int(windows.n_targets.sum()), len(windows.start)
            logger.info("trained on packed sequences: %d targets in %d rows", n_targets, n_rows)
            return PackedLoader(loader, windows)
        logger.info("not packed: the training samples are not the prefixes of each user's sequence")
    return TrimmedLoader(loader, masked=row.loss == "masked")
