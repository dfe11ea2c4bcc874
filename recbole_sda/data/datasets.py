"""RecBole's data set and dataloaders of a run."""

import logging
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np
import pandas as pd

from recbole_sda.config.run_config import RunConfig
from recbole_sda.config.split_checks import is_divided
from recbole_sda.config.unread_keys import FILTERS
from recbole_sda.data.eval_loaders import eval_loader
from recbole_sda.data.field_keys import ids_numbered_apart
from recbole_sda.data.history_rule import HistoryRule, history_rule
from recbole_sda.data.interaction_files import check_files, input_hashes, interaction_files
from recbole_sda.data.leakage import interaction_times, later_than_tests
from recbole_sda.data.parts import Division, divide, divided
from recbole_sda.data.prefix_samples import fast_augmentation
from recbole_sda.data.train_loaders import fast_loader
from recbole_sda.data.train_negatives import leave_out_of_masks, train_sampler
from recbole_sda.errors import InputError, plain_message
from recbole_sda.model.registry import base_name, base_spec, class_name, is_user_model
from recbole_sda.recbole_patches.no_pickle import without_pickle
from recbole_sda.recbole_patches.scoped import base_model_name, ids_as_written

from recbole.utils import ModelType  # isort: skip  (after recbole_sda.config.run_config, which makes RecBole importable)

logger = logging.getLogger(__name__)

MANY_TIES = 0.1  # share of interactions from which a warning names it


class Counts(NamedTuple):
    """Interactions of each user and item in the training part, (n_users,) and (n_items,), int64; row 0 is padding."""

    users: np.ndarray
    items: np.ndarray


class Data(NamedTuple):
    """Data of a run.

    Attributes:
        dataset: RecBole's data set.
        train, valid, test: dataloaders; None if the split has no such part.
        counts: interactions of each user and item in the training part.
        history: whether known items are candidates in the evaluation.
        inputs: hashes of the files that the data come from, see
            :func:`recbole_sda.data.interaction_files.input_hashes`.
        split: boundaries and counts of the split; for leave-one-out in time order, how many training interactions are later than
            tests.
    """

    dataset: Any
    train: Any
    valid: Optional[Any]
    test: Optional[Any]
    counts: Counts
    history: HistoryRule
    inputs: Dict[str, str]
    split: Dict[str, Any]


def load_data(config: RunConfig, with_test: bool = True) -> Data:
    """Return the data of a run: RecBole's data set, split, with the dataloaders that the base model needs.

    Args:
        config: configuration of the run.
        with_test: False leaves out all interactions of the test part: ``test`` is None, and ``dataset`` knows the users and
            items alone.

    Raises:
        InputError: the files cannot be read or split as the keys ask, or a part that the run needs has no interactions.
    """
    inputs = input_hashes(config)
    check_files(config)
    dataset, rule, total, split, train, valid, test = _read_and_split(config)
    valid, test = (part if part is not None and len(part.dataset.inter_feat) else None for part in (valid, test))
    name, needed = ("test", test) if with_test else ("validation", valid)
    if needed is None:
        raise InputError(f"eval_args: split={config['eval_args']['split']} leaves no interactions for the {name} part")
    if max(config["topk"]) >= dataset.item_num - 1:
        raise InputError(
            f"topk={config['topk']}: {config['dataset']} has {dataset.item_num - 1} items, and each k must be below that"
        )
    spec = base_spec(config["model"])
    if spec is not None and spec.family == "sequential":
        train = fast_loader(config, train, spec)
    counts = training_counts(total, *(part.dataset for part in (valid, test) if part is not None))
    train._dataset.training_counts = counts  # for models, which RecBole gives the training part alone
    if not with_test:
        dataset.inter_feat, test = None, None
    return Data(dataset, train, valid, test, counts, rule, inputs, split)


def _read_and_split(config: RunConfig) -> Tuple[Any, HistoryRule, Counts, Dict[str, Any], Any, Any, Any]:
    """Return RecBole's data set, the rule for known items, the counts of all interactions, the record of the split, and the
    dataloaders of the parts."""
    from recbole.data import create_dataset

    with base_model_name(config, class_name(base_name(config["model"]))), fast_augmentation(), without_pickle():
        try:
            with ids_as_written():
                dataset = create_dataset(config)
            _check_labels(config, dataset)
            _warn_of_ids_apart(dataset)
            _warn_of_ties(config, dataset)
            _order_by_time(config, dataset)
            division = divide(config, dataset) if is_divided(config) else None
            total = interaction_counts(dataset)  # before a sequential data set leaves out the first item of each user
            _check_amount(config, total)
            times = None if division else interaction_times(config, dataset)
            rule = history_rule(config, dataset)
            loaders = _split(config, dataset, rule, division, total)
            record = division.record if division else later_than_tests(times, *loaders[1:])
            return dataset, rule, total, record, *loaders
        except InputError:
            raise
        except (ValueError, KeyError, AttributeError, NotImplementedError) as error:
            text = plain_message(error)
            if "feat is empty" in text:
                text = f"the filters leave no rows of a file: {_filters(config)}"
            raise InputError(f"data set {config['dataset']} in {config['data_path']}: {text}") from error


def _filters(config: RunConfig) -> str:
    """Return the filters of a run's configuration with their values."""
    return ", ".join(f"{key}={config[key]}" for key in FILTERS if config[key] not in (None, "[0,inf)"))


def _check_labels(config: RunConfig, dataset: Any) -> None:
    """Refuse a run that reads labels and has none; name labels that nothing reads in a warning."""
    label = config["LABEL_FIELD"]
    context = config.key_context
    if label in dataset.inter_feat:
        if not context.reads_labels and not config["threshold"]:
            logger.warning(
                "the column %s is not read: %s is not trained on labels with these keys", label, config["model"]
            )
        return
    ways = "give threshold, as {rating: 3}, or load_col with that column"
    if "labeled" in context.modes:
        raise InputError(f"eval_args: mode=labeled: {config['dataset']} has no loaded column {label!r}: {ways}")
    if context.reads_labels and not is_user_model(config.resolved["model"]):
        raise InputError(
            f"{config.resolved['model']} learns from labels, and {config['dataset']} has no column {label!r}: {ways}, or give "
            "train_neg_sample_args, as {distribution: uniform, sample_num: 1}"
        )


def _check_amount(config: RunConfig, total: Counts) -> None:
    """Refuse data of which leave-one-out leaves nothing for training."""
    if config["benchmark_filename"]:
        return
    held_out = {"valid_and_test": 2}.get(config["eval_args"]["split"].get("LS"), 1)
    needed = 1 if config["MODEL_TYPE"] != ModelType.SEQUENTIAL else 2  # one item to learn, and one before it
    if "LS" in config["eval_args"]["split"]:
        needed += held_out
    most = int(total.users.max(initial=0))
    if most < needed:
        raise InputError(
            f"{interaction_files(config)[0]}: no user has more than {most} interactions; {config.resolved['model']} with "
            f"split={config['eval_args']['split']} needs a user with at least {needed}, else nothing is left for training"
        )


def _warn_of_ids_apart(dataset: Any) -> None:
    for name, field in ids_numbered_apart(dataset).items():
        key = "alias_of_item_id" if field == dataset.iid_field else "alias_of_user_id"
        logger.warning(
            "the column %s holds ids of %s but is numbered apart; %s=[%s] numbers both alike", name, field, key, name
        )


def _goes_by_time(config: RunConfig, dataset: Any) -> bool:
    """Return whether the split orders the interactions by time."""
    in_time_order = config["eval_args"]["order"] == "TO" and not config["benchmark_filename"]
    return in_time_order and dataset.time_field in dataset.inter_feat


def _warn_of_ties(config: RunConfig, dataset: Any) -> None:
    """Name the share of interactions whose time does not order them among those of their user, where the split goes by time."""
    if not _goes_by_time(config, dataset):
        return
    share = tied_share(dataset.inter_feat[dataset.uid_field], dataset.inter_feat[dataset.time_field])
    if share > MANY_TIES:
        logger.warning(
            "%.0f %% of the interactions have the same time as another one of their user; the order of the file decides among them",
            100 * share,
        )


def tied_share(users: Any, times: Any) -> float:
    """Return the share of interactions that have the same user and time as another one.

    Example:
        >>> tied_share([1, 1, 1, 2], [5, 5, 6, 5])
        0.5
    """
    pairs = pd.DataFrame({"user": np.asarray(users), "time": np.asarray(times)})
    return float(pairs.duplicated(keep=False).mean()) if len(pairs) else 0.0


def _order_by_time(config: RunConfig, dataset: Any) -> None:
    """Sort interactions by time before RecBole sorts them by times in float32.

    In float32, present-day times in seconds are multiples of 64 or 128. RecBole's stable sort keeps the order of interactions
    whose rounded times are equal.
    """
    if _goes_by_time(config, dataset):
        dataset.inter_feat = dataset.inter_feat.sort_values(dataset.time_field, kind="stable").reset_index(drop=True)


def interaction_counts(dataset: Any) -> Counts:
    """Return the interactions of each user and item of a RecBole data set."""
    sizes = ((dataset.uid_field, dataset.user_num), (dataset.iid_field, dataset.item_num))
    return Counts(*(np.bincount(np.asarray(dataset.inter_feat[field]), minlength=n) for field, n in sizes))


def training_counts(total: Counts, *held_out: Any) -> Counts:
    """Return the interactions of each user and item that are left for training.

    Args:
        total: counts of all interactions, from :func:`interaction_counts`.
        held_out: RecBole's validation and test sets.
    """
    parts = [interaction_counts(part) for part in held_out]
    return Counts(
        users=total.users - sum(part.users for part in parts), items=total.items - sum(part.items for part in parts)
    )


def _split(
    config: RunConfig, dataset: Any, rule: HistoryRule, division: Optional[Division], total: Counts
) -> Tuple[Any, Any, Any]:
    """Return the three dataloaders: RecBole's ``data_preparation``, with this package's parts and its loaders for evaluation."""
    from recbole.data.utils import create_samplers, data_preparation, get_dataloader

    if config["MODEL_TYPE"] not in (ModelType.GENERAL, ModelType.TRADITIONAL, ModelType.SEQUENTIAL):
        return data_preparation(config, dataset)
    parts = dataset.build() if division is None else divided(dataset, division.part)
    samplers = create_samplers(config, dataset, parts)
    train = get_dataloader(config, "train")(
        config, parts[0], train_sampler(config, samplers[0], parts[0]), shuffle=config["shuffle"]
    )
    leave_out_of_masks(train, parts[0])
    popularity = training_counts(total, *parts[1:]).items
    valid, test = (
        eval_loader(config, parts, phase, samplers[k], rule, popularity) for k, phase in ((1, "valid"), (2, "test"))
    )
    return train, valid, test
