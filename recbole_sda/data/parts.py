"""The part of each interaction, where this package splits a data set: global time, given parts, cold items.

RecBole's LS and RS without ``cold_items`` are left to RecBole. Every other split gives each interaction of the undivided table a
part, and removes what is left out before any sample, count or candidate is made.
"""

import logging
from typing import Any, Dict, List, NamedTuple

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.utils import ModelType

from recbole_sda.config.split_checks import GIVEN, GLOBAL_TIME
from recbole_sda.data.cold_items import cold_items
from recbole_sda.data.global_time import FIRST_DATE, boundaries, moment, part_by_time
from recbole_sda.data.prefix_samples import PrefixSamples, prefix_samples
from recbole_sda.errors import InputError

logger = logging.getLogger(__name__)

NAMES = ("train", "valid", "test")
TRAIN, VALID, TEST, LEFT_OUT = range(4)
ROW = "row"


class Division(NamedTuple):
    """How a data set was divided.

    Attributes:
        part: of each interaction that is left in the data set's table, a position in ``NAMES``, (n,), int8.
        record: boundaries and counts, for ``metrics.json``.
    """

    part: np.ndarray
    record: Dict[str, Any]


def divide(config: Any, dataset: Any) -> Division:
    """Give each interaction a part, and remove those that are left out from the data set's table.

    Left out are the training interactions of cold items, the validation and test interactions of users without a training
    interaction, and, for sequential models, those before the user's first training interaction, which have no history.

    Args:
        config: configuration of the run.
        dataset: RecBole's data set with its table of interactions, in time order where the split is by time.

    Raises:
        InputError: the split cannot be made, or leaves nothing for training.
    """
    table = dataset.inter_feat
    users, items = (np.asarray(table[field]) for field in (dataset.uid_field, dataset.iid_field))
    sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
    if sequential and config["eval_args"]["order"] != "TO":
        raise InputError(
            f"eval_args: order={config['eval_args']['order']}: sequential models need TO, the order of time"
        )
    record: Dict[str, Any] = {}
    part = _parts(config, dataset, record)
    cold = cold_items(config, dataset)
    left_out = {"training interactions of cold items": (part == TRAIN) & cold[items]}
    part[left_out["training interactions of cold items"]] = LEFT_OUT
    known = np.isin(users, users[part == TRAIN])
    left_out["of users without training"] = ~known & (part > TRAIN) & (part < LEFT_OUT)
    part[left_out["of users without training"]] = LEFT_OUT
    if sequential:
        left_out["without a history"] = without_history(users, part)
        part[left_out["without a history"]] = LEFT_OUT
    record["interactions"] = {name: int((part == k).sum()) for k, name in enumerate(NAMES)}
    record["left_out"] = {reason: int(mask.sum()) for reason, mask in left_out.items() if mask.any()}
    record["users_without_training"] = len(np.unique(users[left_out["of users without training"]]))
    record["cold_items"] = int(cold.sum())
    record["items_without_training"] = dataset.item_num - 1 - len(np.unique(items[part == TRAIN]))
    _log(record)
    if not record["interactions"]["train"]:
        raise InputError(
            f"eval_args: split={config['eval_args']['split']} leaves no interactions for the training part"
        )
    kept = part < LEFT_OUT
    dataset.inter_feat = table[kept].reset_index(drop=True)
    return Division(part[kept], record)


def without_history(users: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return which validation and test interactions come before their user's first training interaction, (n,), bool.

    Args:
        users: of each interaction, (n,), in time order.
        part: of each interaction, (n,).

    Example:
        >>> without_history(np.array([1, 1, 1, 2, 2]), np.array([2, 0, 1, 0, 2])).tolist()
        [True, False, False, False, False]
    """
    first = np.full(users.max() + 1, len(users))
    rows = np.flatnonzero(part == TRAIN)
    np.minimum.at(first, users[rows], rows)
    return ((part == VALID) | (part == TEST)) & (np.arange(len(users)) < first[users])


def _log(record: Dict[str, Any]) -> None:
    parts = ", ".join(f"{name} {n:,}" for name, n in record["interactions"].items())
    since = "".join(
        f", {name} from {record[key]}"
        for name, key in (("valid", "valid_from"), ("test", "test_from"))
        if key in record
    )
    logger.info("interactions: %s%s", parts, since)
    if record["cold_items"]:
        logger.info("cold_items: %d items", record["cold_items"])
    for reason, n in record["left_out"].items():
        logger.info(
            "left out: %d %s", n, reason if "interactions" in reason else f"validation and test interactions {reason}"
        )
    if record["items_without_training"]:
        logger.info(
            "%d items without a training interaction: candidates in the evaluation, not in training",
            record["items_without_training"],
        )


def _parts(config: Any, dataset: Any, record: Dict[str, Any]) -> np.ndarray:
    """Return the part of each interaction by the key ``split`` alone, (n,), int8."""
    split = config["eval_args"]["split"]
    if GIVEN in split:
        return _given_parts(dataset, split[GIVEN])
    if GLOBAL_TIME in split:
        time = np.asarray(dataset.inter_feat[dataset.time_field], dtype=np.float64)
        valid_from, test_from = boundaries(time, split[GLOBAL_TIME])
        if time.max() < FIRST_DATE:
            logger.warning(
                "global_time: the data's times go from %g to %g; are they dates, or positions in each user's sequence?",
                time.min(),
                time.max(),
            )
        record.update(valid_from=moment(valid_from), test_from=moment(test_from))
        return part_by_time(time, valid_from, test_from)
    return _recboles_parts(config, dataset)


def _given_parts(dataset: Any, column: str) -> np.ndarray:
    """Return the parts that a column of the table names, and remove the column."""
    tokens = dataset.field2id_token.get(column)
    if tokens is None:
        raise InputError(f"eval_args: {GIVEN}={column}: expected a column {column}:token in the interaction file")
    names = np.asarray(tokens).astype(str)[np.asarray(dataset.inter_feat[column])]
    dataset._del_col(dataset.inter_feat, column)
    part = np.full(len(names), LEFT_OUT, dtype=np.int8)
    for k, name in enumerate(NAMES):
        part[names == name] = k
    unknown = sorted({"nothing" if name == "[PAD]" else repr(str(name)) for name in names[part == LEFT_OUT]})
    if unknown:
        raise InputError(
            f"eval_args: {GIVEN}={column}: {(part == LEFT_OUT).sum()} interactions have {', '.join(unknown[:5])}; allowed are "
            f"{', '.join(NAMES)}"
        )
    return part


def _recboles_parts(config: Any, dataset: Any) -> np.ndarray:
    """Return the parts of RecBole's LS or RS, by its own functions.

    As in RecBole, a sequential data set divides the samples: all interactions but each user's first, which is for training.
    """
    evaluation, users = config["eval_args"], np.asarray(dataset.inter_feat[dataset.uid_field])
    (kind, value), rows = next(iter(evaluation["split"].items())), np.arange(len(users))
    if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        rows = np.setdiff1d(rows, np.unique(users, return_index=True)[1])
    if evaluation["order"] == "RO":
        rows = rows[torch.randperm(len(rows)).numpy()]
    columns = {dataset.uid_field: torch.from_numpy(users[rows]), ROW: torch.from_numpy(rows)}
    samples = dataset.copy(Interaction(columns))
    by_user = str(evaluation["group_by"]).lower() == "user"
    if kind == "LS":
        divided_rows = samples.leave_one_out(dataset.uid_field, value)
    else:
        divided_rows = samples.split_by_ratio(value, dataset.uid_field if by_user else None)
    part = np.zeros(len(users), dtype=np.int8)
    for k in (VALID, TEST):
        part[divided_rows[k].inter_feat[ROW].numpy()] = k
    return part


def divided(dataset: Any, part: np.ndarray) -> List[Any]:
    """Return RecBole's data sets of training, validation and test, as its ``build`` does.

    The history of a sample holds the user's earlier interactions in its own and earlier parts. ``absent_items`` of the training
    part has the ids of the items without a training interaction.

    Args:
        dataset: RecBole's data set with its table of interactions, in time order for a sequential model.
        part: of each interaction, a position in ``NAMES``, (n,).

    Raises:
        InputError: the data set makes samples of its own kind.
    """
    users, items = (np.asarray(dataset.inter_feat[field]) for field in (dataset.uid_field, dataset.iid_field))
    trained = np.unique(items[part == TRAIN])
    dataset._change_feat_format()
    dataset._drop_unused_col()
    feat = dataset.inter_feat
    if isinstance(feat, PrefixSamples):
        sequences, part = feat.source, part[np.argsort(users, kind="stable")]
        parts = [dataset.copy(_samples(dataset, sequences, part, k)) for k in range(len(NAMES))]
    elif len(feat) == len(part):
        parts = [dataset.copy(feat[np.flatnonzero(part == k)]) for k in range(len(NAMES))]
    else:
        raise InputError(
            f"{dataset.config['model']} makes samples of its own kind, which only RecBole's LS and RS can split"
        )
    parts[TRAIN].absent_items = np.setdiff1d(np.arange(1, dataset.item_num), trained)
    return parts


def _samples(dataset: Any, sequences: Interaction, part: np.ndarray, k: int) -> PrefixSamples:
    """Return the samples whose target is in part k, from interactions user by user and in time order."""
    rows = np.flatnonzero(part <= k)
    samples = prefix_samples(dataset, sequences[rows])
    return samples[np.flatnonzero(part[rows[samples.target_positions]] == k)]
