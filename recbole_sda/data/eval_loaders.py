"""Evaluation dataloaders: blocks of bounded size, histories and sampled candidates without loops over users."""

from functools import cached_property
from pathlib import Path
from typing import Any, Optional, Sequence, Tuple

import numpy as np
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.interaction import Interaction
from recbole.data.utils import get_dataloader
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import EvaluatorType, ModelType
from torch import Tensor

from recbole_sda.data.eval_negatives import Sampling, fixed_negatives
from recbole_sda.data.history_rule import HistoryRule
from recbole_sda.errors import InputError
from recbole_sda.machine import torchrun
from recbole_sda.model.item_features import item_tokens
from recbole_sda.model.known_items import Ragged, known_items, training_pairs

BLOCK_SCORES = 2**24  # scores of a block of users and all items that are in memory at once: 64 MB of float32
PHASES = ("train", "valid", "test")
Pairs = Tuple[Tensor, Tensor]  # rows of a batch, item ids
# What both loaders yield: users or samples, history or None, rows and items of the positives, candidates or None for all items.
EvalBatch = Tuple[Interaction, Optional[Pairs], Tensor, Tensor, Optional[Pairs]]


def pair_keys(dataset: Any) -> np.ndarray:
    """Return ``user * n_items + item`` of a data set's interactions, ascending and distinct, int64."""
    users, items = dataset.inter_feat[dataset.uid_field].numpy(), dataset.inter_feat[dataset.iid_field].numpy()
    return np.unique(users.astype(np.int64) * dataset.item_num + items)


class UserLoader(FullSortEvalDataLoader):
    """Users of an evaluation phase with their positive items, for general models.

    Yields what RecBole's loader yields (users, history, positive rows, positive items), and as a fifth element the candidates
    (rows, items), or None if all items are candidates.

    Args:
        config: the run's configuration.
        dataset: RecBole's data set of the phase.
        seen: ``user * n_items + item`` of what is not recommended again, ascending and distinct. Positives of the phase are
            always candidates, also if they are in it.
        sampling: what is drawn for each positive; None for full sort.
    """

    step: int  # users of a batch

    def __init__(self, config: Any, dataset: Any, seen: np.ndarray, sampling: Optional[Sampling]):
        n_items = dataset.item_num
        self.uid_field, self.iid_field, self.is_sequential = dataset.uid_field, dataset.iid_field, False
        positives = pair_keys(dataset)
        users, group = np.unique(positives // n_items, return_inverse=True)
        history = np.setdiff1d(seen, positives, assume_unique=True)
        self._users = users
        self._positives = Ragged.of(group, positives % n_items, len(users))
        self._history = Ragged.of(history // n_items, history % n_items, dataset.user_num)
        self._negatives: Optional[Ragged] = None
        if sampling:
            taken = np.union1d(history[np.isin(history // n_items, users)], positives)
            drawn = stored_negatives(config, dataset, positives // n_items, taken, sampling)
            self._negatives = Ragged.of(np.repeat(group, drawn.shape[1]), drawn.ravel(), len(users))
        self.user_df = dataset.join(Interaction({dataset.uid_field: torch.from_numpy(users)}))
        self.sample_size = len(users)
        AbstractDataLoader.__init__(self, config, dataset, None, shuffle=False)

    @cached_property
    def uid2history_item(self) -> np.ndarray:
        """History of each user as an int64 tensor of item ids, (n_users,), in RecBole's form.

        :mod:`recbole.utils.case_study` reads it.
        """
        by_user = np.empty(len(self._history.length), dtype=object)
        for user, items in enumerate(torch.from_numpy(self._history.values).split(self._history.length.tolist())):
            by_user[user] = items
        return by_user

    def _init_batch_size_and_step(self) -> None:
        scores = self.config["eval_batch_size"]
        model: Any = self.config.model_class
        if model.full_sort_predict is not AbstractRecommender.full_sort_predict:
            scores = max(scores, BLOCK_SCORES)
        self.step = max(1, scores // self._dataset.item_num)
        self.set_batch_size(self.step * self._dataset.item_num)

    def collate_fn(self, index: Sequence[int]) -> EvalBatch:
        """Return the batch of the users at some positions."""
        lists = np.array(index)
        positives, candidates = self._positives.take(lists), None
        if self._negatives is not None:
            rows, items = zip(positives, self._negatives.take(lists))
            candidates = torch.cat(rows), torch.cat(items)
        return self.user_df[lists], self._history.take(self._users[lists]), *positives, candidates


class SampleLoader(FullSortEvalDataLoader):
    """Samples of a sequential model in the order of their length; yields what :class:`UserLoader` yields.

    Args:
        config, dataset, sampling: see :class:`UserLoader`.
        masked: whether the items that a sample's user had before it are no candidates. The sample's own item always is one.
        exempt: ``user * n_items + item`` of items that are candidates all the same, ascending and distinct.
    """

    step: int  # samples of a batch

    def __init__(self, config: Any, dataset: Any, sampling: Optional[Sampling], masked: bool, exempt: np.ndarray):
        self._exempt, self._n_items = exempt, dataset.item_num
        feat = dataset.inter_feat
        drawn: Optional[Tensor] = None
        if sampling:
            feat = feat[np.argsort(feat[dataset.uid_field].numpy(), kind="stable")]
            samples = np.arange(len(feat))  # each is a group, which has taken its own item
            taken = samples * dataset.item_num + feat[dataset.iid_field].numpy()
            if masked:
                rows, items = self._masked_pairs(dataset, feat, known_items(dataset, feat), samples)
                taken = np.union1d(taken, rows.numpy() * dataset.item_num + items.numpy())
            drawn = torch.from_numpy(stored_negatives(config, dataset, samples, taken, sampling))
        by_length = torch.argsort(feat[dataset.item_list_length_field], stable=True)
        dataset.inter_feat = feat[by_length]
        self._candidates = None if drawn is None else drawn[by_length]
        self._known = known_items(dataset, dataset.inter_feat) if masked else None
        super().__init__(config, dataset, None, shuffle=False)

    def _masked_pairs(self, dataset: Any, feat: Interaction, known: Ragged, samples: np.ndarray) -> Pairs:
        """Return (position in ``samples``, item) of all items that are no candidates."""
        rows, items = known.take(samples)
        masked = items != feat[dataset.iid_field][samples][rows]
        if len(self._exempt):
            keys = feat[dataset.uid_field][samples][rows] * self._n_items + items
            masked &= ~torch.isin(keys, torch.from_numpy(self._exempt))
        return rows[masked], items[masked]

    def _init_batch_size_and_step(self) -> None:
        super()._init_batch_size_and_step()
        self.step = max(1, min(self.step, BLOCK_SCORES // self._dataset.item_num))
        self.set_batch_size(self.step)

    def collate_fn(self, index: Sequence[int]) -> EvalBatch:
        """Return the batch of the samples at some positions."""
        interaction, history, rows, items = super().collate_fn(index)
        if self._known is not None:
            history = self._masked_pairs(self._dataset, self._dataset.inter_feat, self._known, np.asarray(index))
        if self._candidates is None:
            return interaction, history, rows, items, None
        drawn = self._candidates[index]
        candidates = torch.cat([rows, rows.repeat_interleave(drawn.shape[1])]), torch.cat([items, drawn.flatten()])
        return interaction, history, rows, items, candidates


def stored_negatives(
    config: Any, dataset: Any, groups: np.ndarray, taken: np.ndarray, sampling: Sampling
) -> np.ndarray:
    """Return the negatives of a phase, (n_cases, k); see :func:`recbole_sda.data.eval_negatives.fixed_negatives`."""
    folder = Path(config.resolved["data_path"]) / config["dataset"] / "negatives"
    try:
        return fixed_negatives(
            folder, sampling, groups, taken, item_tokens(dataset), int(config["eval_negatives_seed"])
        )
    except ValueError as error:
        raise InputError(f"eval_args: {sampling.mode}: {error}") from None


def among_candidates(scores: Tensor, candidates: Pairs) -> Tensor:
    """Return a copy of scores (n_rows, n_items) with minus infinity for all but the candidates (rows, items)."""
    rows, items = (part.to(scores.device) for part in candidates)
    masked = torch.full_like(scores, -torch.inf)
    masked[rows, items] = scores[rows, items]
    return masked


def eval_loader(
    config: Any, parts: Sequence[Any], phase: str, sampler: Any, rule: HistoryRule, popularity: np.ndarray
) -> Any:
    """Return the dataloader of an evaluation phase: RecBole's own for value metrics, which the mode ``labeled`` needs.

    Args:
        config: the run's configuration.
        parts: RecBole's training, validation and test sets.
        phase: ``valid`` or ``test``.
        sampler: RecBole's sampler of the phase.
        rule: whether known items are candidates.
        popularity: training interactions of each item, (n_items,), which ``popN`` draws by.
    """
    place = PHASES.index(phase)
    dataset, mode = parts[place], config["eval_args"]["mode"][phase]
    if config["eval_type"] == EvaluatorType.VALUE:
        return get_dataloader(config, phase)(config, dataset, sampler, shuffle=False)
    sampling = None
    if mode != "full":
        sampling = Sampling(mode, phase, popularity if mode.startswith("pop") else None)
    none = np.empty(0, dtype=np.int64)
    with torchrun.unsharded_evaluation(config):
        if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            exempt = none
            if phase == "test" and not rule.with_validation:  # validation items, unless they are also training items
                users, items = training_pairs(parts[0])
                exempt = np.setdiff1d(pair_keys(parts[1]), users.astype(np.int64) * dataset.item_num + items)
            return SampleLoader(config, dataset, sampling, rule.masked, exempt)
        before = parts[:place] if rule.with_validation else parts[:1]
        seen = np.unique(np.concatenate([pair_keys(part) for part in before])) if rule.masked else none
        return UserLoader(config, dataset, seen, sampling)
