"""Dataloaders beside RecBole's own: packed training sequences, evaluation in the order of length."""

import logging
from typing import Iterator, Optional

import numpy as np
import torch

from recbole_sda.sequences import Windows, batch_plan, batches, cut

logger = logging.getLogger(__name__)


def train_windows(dataset, max_length: int, stride: int) -> Optional[Windows]:
    """Return the windows of a RecBole sequential training set, or None where its samples are not all prefixes.

    Args:
        dataset: RecBole's training part: one sample per prefix of each user's sequence.
        max_length: MAX_ITEM_LIST_LENGTH.
        stride: see :func:`recbole_sda.sequences.cut`.
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
    opening = samples[dataset.item_id_list_field][:, 0].numpy()[order][first]  # the item that is no target
    items = np.insert(target, first, opening)
    return cut(items, counts + 1, users, max_length, stride)


class PackedLoader:
    """Batches of packed sequences, in place of RecBole's training dataloader.

    Yields RecBole interactions with the padded inputs (batch, seq_len), their lengths (batch,), and under the item id
    the targets (batch, seq_len), 0 where there is none.

    Args:
        loader: RecBole's dataloader; its generator, of which checkpoints keep the state, draws the batches.
        windows: of its data set.
        n_targets: targets per batch, about.
    """

    def __init__(self, loader, windows: Windows, n_targets: int):
        self.dataset = self._dataset = loader._dataset
        self.config, self.shuffle, self.generator = loader.config, loader.shuffle, loader.generator
        self.windows, self.n_targets = windows, n_targets
        self._n_batches = len(batch_plan(windows, n_targets, np.random.default_rng(0)))

    def __len__(self) -> int:
        """Batches of the epoch that was drawn last; epochs differ by a few."""
        return self._n_batches

    def __iter__(self) -> Iterator:
        from recbole.data.interaction import Interaction

        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
        plan = batch_plan(self.windows, self.n_targets, rng, self.shuffle)
        self._n_batches = len(plan)
        dataset = self.dataset
        for chosen, inputs, targets in batches(self.windows, plan):
            yield Interaction(
                {
                    dataset.uid_field: torch.from_numpy(self.windows.user[chosen]),
                    dataset.item_id_list_field: torch.from_numpy(inputs),
                    dataset.item_list_length_field: torch.from_numpy(self.windows.length[chosen]),
                    dataset.iid_field: torch.from_numpy(targets),
                }
            )


def packed_loader(config, loader):
    """Return the packed form of RecBole's training dataloader, or ``loader`` itself where packing does not apply.

    Args:
        config: the run's configuration.
        loader: RecBole's training dataloader, of a model that takes packed sequences.
    """
    if not config["packed_sequences"]:
        return loader
    reason = None
    if config["loss_type"] != "CE":
        reason = f"loss_type is {config['loss_type']}, not CE"
    elif not config["single_spec"]:
        reason = "training runs in several processes"
    else:
        longest = config["MAX_ITEM_LIST_LENGTH"]
        windows = train_windows(loader._dataset, longest, config["packed_stride"] or max(1, longest // 2))
        if windows is None:
            reason = "the training samples are not the prefixes of each user's sequence"
    if reason:
        logger.info("trained on RecBole's padded prefixes: %s", reason)
        return loader
    rows = int(windows.n_targets.sum())
    logger.info("trained on packed sequences: %d targets in %d rows", rows, len(windows.start))
    return PackedLoader(loader, windows, config["train_batch_size"])


def sort_by_length(loader) -> None:
    """Put the samples of RecBole's sequential evaluation dataloader in the order of their length, in place."""
    dataset = loader._dataset
    length = dataset.inter_feat[dataset.item_list_length_field]
    dataset.inter_feat = dataset.inter_feat[torch.argsort(length, stable=True)]
