"""Faster training dataloaders for sequential models: packed and trimmed sequences."""

import logging
from itertools import cycle, islice
from typing import Any, Iterator, List, Optional

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import distributed

from recbole_sda.data.packing import Windows, assemble, batch_plan, cut
from recbole_sda.errors import InputError
from recbole_sda.model.known_items import history_field
from recbole_sda.model.model_table import BaseModelSpec

logger = logging.getLogger(__name__)


def train_windows(dataset: Any, max_length: int, stride: int) -> Optional[Windows[np.ndarray]]:
    """Return the windows of a RecBole sequential training set; None if its samples are not all prefixes of the sequences.

    Args:
        dataset: RecBole's training part, with one sample per prefix of each user's sequence.
        max_length: ``MAX_ITEM_LIST_LENGTH``.
        stride: see :func:`recbole_sda.data.packing.cut`.
    """
    samples = dataset.inter_feat
    user = samples[dataset.uid_field].numpy()
    order = np.argsort(user, kind="stable")
    user, target = user[order], samples[dataset.iid_field].numpy()[order]
    length = samples[dataset.item_list_length_field].numpy()[order]
    users, first, counts = np.unique(user, return_index=True, return_counts=True)
    number = np.arange(len(user)) - np.repeat(first, counts)  # of the sample among those of its user, from 0
    if not np.array_equal(length, np.minimum(number + 1, max_length)):
        return None
    opening = samples[order[first]][history_field(dataset)][:, 0].numpy()  # the first item, which is no target
    items = np.insert(target, first, opening)
    return cut(items, counts + 1, users, max_length, stride)


class LengthLoader:
    """Base class of both loaders: batches of rows of similar length, drawn anew for every epoch.

    Args:
        loader: RecBole's training dataloader. Its generator draws the batches; checkpoints store the generator's state.
        length: length of each row, (n_rows,).
        weight: weight of each row, (n_rows,): its number of targets, or proportional to it.
        size: weight of a batch.
    """

    def __init__(self, loader: Any, length: np.ndarray, weight: np.ndarray, size: int):
        self.loader, self.length, self.weight, self._size = loader, length, weight, size
        self.dataset = self._dataset = loader._dataset
        self.config, self.shuffle, self.generator = loader.config, loader.shuffle, loader.generator
        self._n_processes = 1 if self.config["single_spec"] else self.config["world_size"]
        self.sampler = self  # RecBole calls its set_epoch
        self._n_batches = len(self._plan(np.random.default_rng(0)))

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the generator, which is the same in all processes, advances by itself."""

    def get_model(self, model: Any) -> None:
        """Give RecBole's loader the model, which chooses among dynamic negatives."""
        self.loader.get_model(model)

    def _plan(self, rng: np.random.Generator) -> List[np.ndarray]:
        """Return this process's batches. As in RecBole, ``train_batch_size`` is divided by the number of processes."""
        n = self._n_processes
        plan = batch_plan(self.length, self.weight, max(1, self._size // n), rng, self.shuffle)
        if n == 1:
            return plan
        equal = -(-len(plan) // n) * n  # all processes need the same number of batches, so some batches are repeated
        return list(islice(cycle(plan), equal))[distributed.get_rank() :: n]

    def __len__(self) -> int:
        """Return the number of batches of the epoch that was drawn last; epochs of packed sequences differ by a few."""
        return self._n_batches

    def __iter__(self) -> Iterator[Interaction]:
        plan = self._plan(np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator))))
        self._n_batches = len(plan)
        return map(self.batch, plan)

    def batch(self, chosen: np.ndarray) -> Interaction:
        """Return the batch of the chosen rows."""
        raise NotImplementedError


class PackedLoader(LengthLoader):
    """Batches of packed sequences, assembled on the device of the run, which holds the data of the whole epoch.

    Yields RecBole interactions with the padded inputs (batch, seq_len), their lengths (batch,), and in the item id field the
    targets (batch, seq_len), 0 in positions without one. ``train_batch_size`` counts targets.

    Args:
        loader: RecBole's training dataloader.
        windows: the packed sequences.
    """

    kind = "packed"

    def __init__(self, loader: Any, windows: Windows[np.ndarray]):
        super().__init__(loader, windows.length, windows.n_targets, loader.config["train_batch_size"])
        self.windows = windows.to(self.config["device"])

    def batch(self, chosen: np.ndarray) -> Interaction:
        rows = torch.as_tensor(chosen, device=self.windows.start.device)
        inputs, targets = assemble(self.windows, rows)
        return Interaction(
            {
                self.dataset.uid_field: self.windows.user[rows],
                history_field(self.dataset): inputs,
                self.dataset.item_list_length_field: self.windows.length[rows],
                self.dataset.iid_field: targets,
            }
        )


class TrimmedLoader(LengthLoader):
    """RecBole's samples in batches of similar length, without the padding that no sample of the batch needs.

    Args:
        loader: RecBole's training dataloader.
        masked: whether the targets are masked items, as of BERT4Rec. A longer sample then has more targets. All batches get
            the same expected number of targets, that of a batch of mixed lengths, so that the mean over a batch weighs each
            target as in RecBole.
    """

    kind = "trimmed"

    def __init__(self, loader: Any, masked: bool = False):
        length = loader._dataset.inter_feat[loader._dataset.item_list_length_field].numpy()
        weight = _expected_masks(length, loader.config) if masked else np.ones_like(length)
        samples = max(
            1, loader.config["train_batch_size"] // loader.times
        )  # as in RecBole, negatives count towards the batch size
        size = max(1, round(samples * weight.mean()))
        super().__init__(loader, length, weight, size)

    def batch(self, chosen: np.ndarray) -> Interaction:
        return trim(self.loader.collate_fn(chosen), self.config)


def _expected_masks(length: np.ndarray, config: Any) -> np.ndarray:
    """Return the expected number of targets of samples of each length, (n,), int64, in hundredths and at least one.

    RecBole masks each item with probability ``mask_ratio``; in a share ``ft_ratio`` of the calls it masks only the last item. A
    mask in the first position is no target.

    Note:
        A sample has at most ``mask_ratio * MAX_ITEM_LIST_LENGTH`` targets. This bound is applied to the expectation, which
        overestimates the mean of samples close to the maximum length, by up to 12 % for the default of 10 targets in 50 items.
    """
    ratio, last = config["mask_ratio"], config["ft_ratio"]
    most = int(ratio * config["MAX_ITEM_LIST_LENGTH"])
    expected = (1 - last) * np.minimum(ratio * (length - 1), most) + last * (length > 1)
    return 1 + (100 * expected).astype(np.int64)


def trim(interaction: Interaction, config: Any) -> Interaction:
    """Cut the histories of a batch, in place, to the length of the longest, and return the batch."""
    longest = int(interaction[config["ITEM_LIST_LENGTH_FIELD"]].max())
    fields = [name for name in interaction.interaction if name.endswith(config["LIST_SUFFIX"])]
    interaction.update(Interaction({name: interaction[name][:, :longest] for name in fields}))
    return interaction


def fast_loader(config: Any, loader: Any, spec: BaseModelSpec) -> Any:
    """Return a faster form of RecBole's training dataloader, or ``loader`` itself for models that need padded samples.

    Args:
        config: the run's configuration.
        loader: RecBole's training dataloader of a sequential model.
        spec: the model's entry in the model table.

    Raises:
        InputError: ``packed_stride`` is out of range.
    """
    if not config["fast_sequences"] or spec.sequences == "padded":
        return loader
    if spec.sequences == "packed" and config["loss_type"] == "CE":
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
    return TrimmedLoader(loader, masked=spec.loss == "masked")
