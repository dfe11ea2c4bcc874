"""Evaluation dataloaders: blocks of bounded size, histories and sampled candidates without loops over users."""

from pathlib import Path
from typing import NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from recbole_sda.data.eval_negatives import fixed_negatives
from recbole_sda.errors import InputError
from recbole_sda.machine import torchrun
from recbole_sda.model.item_features import item_tokens
from recbole_sda.model.registry import model_class
from recbole_sda.recbole_patches import compat

compat.apply()

from recbole.data.dataloader import FullSortEvalDataLoader  # noqa: E402
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader  # noqa: E402
from recbole.data.interaction import Interaction  # noqa: E402
from recbole.data.utils import get_dataloader  # noqa: E402
from recbole.model.abstract_recommender import AbstractRecommender  # noqa: E402
from recbole.utils import ModelType  # noqa: E402

BLOCK_SCORES = 2**24  # scores of users by items held at a time, 64 MB of float32
PHASES = ("train", "valid", "test")
Pairs = Optional[Tuple[Tensor, Tensor]]


class Ragged(NamedTuple):
    """Lists of item ids of different lengths, one after the other.

    Attributes:
        values: (total,), int64.
        start, length: of each list, (n_lists,).
    """

    values: np.ndarray
    start: np.ndarray
    length: np.ndarray

    @classmethod
    def of(cls, groups: np.ndarray, values: np.ndarray, n_groups: int) -> "Ragged":
        """Return a list per group, of ``values`` whose ``groups`` (total,) ascend."""
        length = np.bincount(groups, minlength=n_groups)
        return cls(values, np.cumsum(length) - length, length)

    def take(self, lists: np.ndarray) -> Tuple[Tensor, Tensor]:
        """Return (position in ``lists``, value) of all values of the chosen lists."""
        length = self.length[lists]
        row = np.repeat(np.arange(len(lists)), length)
        inside = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
        return torch.from_numpy(row), torch.from_numpy(self.values[self.start[lists][row] + inside])


def pair_keys(dataset) -> np.ndarray:
    """Return ``user * n_items + item`` of a data set's interactions, ascending and distinct."""
    users, items = dataset.inter_feat[dataset.uid_field].numpy(), dataset.inter_feat[dataset.iid_field].numpy()
    return np.unique(users.astype(np.int64) * dataset.item_num + items)


class UserLoader(FullSortEvalDataLoader):
    """Users with what they are to be recommended, for general models.

    Yields RecBole's (users, history, positive rows, positive items), and the candidates to rank among as (rows, items),
    or None for all items.

    Args:
        config: the run's configuration.
        dataset: RecBole's data set of the phase.
        seen: ``user * n_items + item`` of what is not recommended again.
        negatives: how many negatives to draw for each positive, with the random stream's name; None for full sort.
    """

    def __init__(self, config, dataset, seen: np.ndarray, negatives: Optional[Tuple[int, str]]):
        n_items = dataset.item_num
        self.uid_field, self.iid_field, self.is_sequential = dataset.uid_field, dataset.iid_field, False
        positives = pair_keys(dataset)
        users, group = np.unique(positives // n_items, return_inverse=True)
        history = np.setdiff1d(seen, positives, assume_unique=True)
        history = history[np.isin(history // n_items, users)]
        self._positives = Ragged.of(group, positives % n_items, len(users))
        self._history = Ragged.of(np.searchsorted(users, history // n_items), history % n_items, len(users))
        self._negatives = None
        if negatives:
            taken = np.union1d(history, positives)
            drawn = stored_negatives(config, dataset, positives // n_items, taken, *negatives)
            self._negatives = Ragged.of(np.repeat(group, drawn.shape[1]), drawn.ravel(), len(users))
        self.user_df = dataset.join(Interaction({dataset.uid_field: torch.from_numpy(users)}))
        self.sample_size = len(users)
        AbstractDataLoader.__init__(self, config, dataset, None, shuffle=False)

    def _init_batch_size_and_step(self):
        scores = self.config["eval_batch_size"]
        if model_class(self.config["model"]).full_sort_predict is not AbstractRecommender.full_sort_predict:
            scores = max(scores, BLOCK_SCORES)
        self.step = max(1, scores // self._dataset.item_num)
        self.set_batch_size(self.step * self._dataset.item_num)

    def collate_fn(self, index):
        index = np.array(index)
        positives, candidates = self._positives.take(index), None
        if self._negatives is not None:
            candidates = tuple(torch.cat(pair) for pair in zip(positives, self._negatives.take(index)))
        return self.user_df[index], self._history.take(index), *positives, candidates


class SampleLoader(FullSortEvalDataLoader):
    """Samples of a sequential model in the order of their length; yields what :class:`UserLoader` yields.

    Items of the history may be recommended again, and may be negatives: RecBole's sequential models know no other rule.

    Args:
        config, dataset, negatives: see :class:`UserLoader`.
    """

    def __init__(self, config, dataset, negatives: Optional[Tuple[int, str]]):
        feat = dataset.inter_feat
        self._candidates = None
        if negatives:
            order = np.argsort(feat[dataset.uid_field].numpy(), kind="stable")
            feat = feat[order]
            samples = np.arange(len(order))  # each has taken its own item alone
            taken = samples * dataset.item_num + feat[dataset.iid_field].numpy()
            self._candidates = torch.from_numpy(stored_negatives(config, dataset, samples, taken, *negatives))
        by_length = torch.argsort(feat[dataset.item_list_length_field], stable=True)
        dataset.inter_feat = feat[by_length]
        if negatives:
            self._candidates = self._candidates[by_length]
        super().__init__(config, dataset, None, shuffle=False)

    def _init_batch_size_and_step(self):
        super()._init_batch_size_and_step()
        self.step = max(1, min(self.step, BLOCK_SCORES // self._dataset.item_num))
        self.set_batch_size(self.step)

    def collate_fn(self, index):
        interaction, history, rows, items = super().collate_fn(index)
        if self._candidates is None:
            return interaction, history, rows, items, None
        drawn = self._candidates[index]
        candidates = torch.cat([rows, rows.repeat_interleave(drawn.shape[1])]), torch.cat([items, drawn.flatten()])
        return interaction, history, rows, items, candidates


def stored_negatives(config, dataset, groups: np.ndarray, taken: np.ndarray, k: int, phase: str) -> np.ndarray:
    """Return the negatives of a phase, (n_cases, k); see :func:`recbole_sda.data.eval_negatives.fixed_negatives`."""
    folder = Path(config.resolved["data_path"]) / config["dataset"] / "negatives"
    try:
        return fixed_negatives(
            folder, phase, groups, taken, item_tokens(dataset), k, int(config["eval_negatives_seed"])
        )
    except ValueError as error:
        raise InputError(f"eval_args: uni{k}: {error}") from None


def among_candidates(scores: Tensor, candidates: Pairs) -> Tensor:
    """Return scores (n_rows, n_items) with everything but the candidates (rows, items) at minus infinity."""
    rows, items = (part.to(scores.device) for part in candidates)
    kept = torch.full_like(scores, -torch.inf)
    kept[rows, items] = scores[rows, items]
    return kept


def eval_loader(config, parts: Sequence, phase: str, sampler):
    """Return the dataloader of an evaluation phase: RecBole's own where ours has nothing to offer.

    Args:
        config: the run's configuration.
        parts: RecBole's training, validation and test sets.
        phase: ``valid`` or ``test``.
        sampler: RecBole's sampler of the phase.
    """
    place = PHASES.index(phase)
    dataset, mode = parts[place], config["eval_args"]["mode"][phase]
    sampled = mode[:3] == "uni" and mode[3:].isdecimal()
    if not sampled and mode != "full":
        return get_dataloader(config, phase)(config, dataset, sampler, shuffle=False)
    negatives = (int(mode[3:]), phase) if sampled else None
    with torchrun.unsharded_evaluation(config):
        if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            return SampleLoader(config, dataset, negatives)
        seen = np.empty(0, dtype=np.int64)
        if not config["repeatable"]:
            before = parts[:place] if config["mask_validation"] else parts[:1]
            seen = np.unique(np.concatenate([pair_keys(part) for part in before]))
        return UserLoader(config, dataset, seen, negatives)
