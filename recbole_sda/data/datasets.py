"""RecBole's data set and dataloaders of a run."""

from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np

from recbole_sda.config.run_config import RunConfig
from recbole_sda.config.split_checks import is_divided
from recbole_sda.data.eval_loaders import eval_loader
from recbole_sda.data.history_rule import HistoryRule, history_rule
from recbole_sda.data.interaction_files import check_columns, input_hashes
from recbole_sda.data.leakage import interaction_times, later_than_tests
from recbole_sda.data.parts import Division, divide, divided
from recbole_sda.data.prefix_samples import fast_augmentation
from recbole_sda.data.train_loaders import fast_loader
from recbole_sda.data.train_negatives import leave_out_of_masks, train_sampler
from recbole_sda.errors import InputError
from recbole_sda.model.registry import base_name, base_spec, class_name
from recbole_sda.recbole_patches.no_pickle import without_pickle
from recbole_sda.recbole_patches.scoped import base_model_name, ids_as_written

from recbole.utils import ModelType  # isort: skip  (after recbole_sda.config.run_config, which makes RecBole importable)

STORING_KEYS = ("save_dataset", "dataset_save_path", "save_dataloaders", "dataloaders_save_path")  # RecBole's


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
    for key in STORING_KEYS:
        if config[key]:
            raise InputError(f"{key}={config[key]}: data are read anew for each run, in seconds, and not stored")
    check_columns(config)
    dataset, rule, total, split, train, valid, test = _read_and_split(config)
    _check_labels(config, train)
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
    counts = training_counts(total, valid, test)
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
            _order_by_time(config, dataset)
            division = divide(config, dataset) if is_divided(config) else None
            total = interaction_counts(dataset)  # before a sequential data set leaves out the first item of each user
            times = None if division else interaction_times(config, dataset)
            rule = history_rule(config, dataset)
            loaders = _split(config, dataset, rule, division)
            record = division.record if division else later_than_tests(times, *loaders[1:])
            return dataset, rule, total, record, *loaders
        except InputError:
            raise
        except (ValueError, KeyError, AttributeError, NotImplementedError) as error:
            if config["benchmark_filename"] and config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
                raise InputError(
                    f"benchmark_filename={config['benchmark_filename']}: {config['model']} is sequential, and RecBole reads "
                    "its parts only from files with a column of histories; give it the undivided .inter file instead"
                ) from error
            raise InputError(f"data set {config['dataset']} in {config['data_path']}: {error}") from error


def _check_labels(config: RunConfig, train: Any) -> None:
    """Refuse a context-aware model without labels or sampled negatives."""
    sampled = config["train_neg_sample_args"]["distribution"] != "none"
    if config["MODEL_TYPE"] != ModelType.CONTEXT or sampled or config["LABEL_FIELD"] in train._dataset.inter_feat:
        return
    raise InputError(
        f"{config['model']} learns from labels, and {config['dataset']} has no column {config['LABEL_FIELD']!r}: give "
        "threshold, as {rating: 3}, or train_neg_sample_args, as {distribution: uniform, sample_num: 1}"
    )


def _order_by_time(config: RunConfig, dataset: Any) -> None:
    """Sort interactions by time before RecBole sorts them by times in float32.

    In float32, present-day times in seconds are multiples of 64 or 128. RecBole's stable sort keeps the order of interactions
    whose rounded times are equal.
    """
    if (
        config["eval_args"]["order"] == "TO"
        and not config["benchmark_filename"]
        and dataset.time_field in dataset.inter_feat
    ):
        dataset.inter_feat = dataset.inter_feat.sort_values(dataset.time_field, kind="stable").reset_index(drop=True)


def interaction_counts(dataset: Any) -> Counts:
    """Return the interactions of each user and item of a RecBole data set."""
    sizes = ((dataset.uid_field, dataset.user_num), (dataset.iid_field, dataset.item_num))
    return Counts(*(np.bincount(np.asarray(dataset.inter_feat[field]), minlength=n) for field, n in sizes))


def training_counts(total: Counts, *held_out: Any) -> Counts:
    """Return the interactions of each user and item that are left for training.

    Args:
        total: counts of all interactions, from :func:`interaction_counts`.
        held_out: dataloaders of the validation and test part; None for a part that does not exist.
    """
    parts = [interaction_counts(loader.dataset) for loader in held_out if loader is not None]
    return Counts(
        users=total.users - sum(part.users for part in parts), items=total.items - sum(part.items for part in parts)
    )


def _split(config: RunConfig, dataset: Any, rule: HistoryRule, division: Optional[Division]) -> Tuple[Any, Any, Any]:
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
    valid, test = (eval_loader(config, parts, phase, samplers[k], rule) for k, phase in ((1, "valid"), (2, "test")))
    return train, valid, test
