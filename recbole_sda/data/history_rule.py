"""Whether the items that a user has already are candidates in an evaluation: the key ``mask_history``."""

import logging
from typing import Any, Dict, NamedTuple, Optional

import numpy as np
from recbole.utils import EvaluatorType, ModelType

from recbole_sda.errors import InputError

logger = logging.getLogger(__name__)

AUTO = "auto"
OWN_LOADERS = (ModelType.GENERAL, ModelType.TRADITIONAL, ModelType.SEQUENTIAL)


class HistoryRule(NamedTuple):
    """What is done with a user's known items when the items of a case are ranked.

    Attributes:
        masked: whether they are no candidates. The target of a case always is one.
        reason: why, for people.
        with_validation: whether the known items of a test case include the user's validation items.
    """

    masked: bool
    reason: str
    with_validation: bool = True

    def describe(self) -> Dict[str, str]:
        """Return the rule in words for each phase, as it is noted with the metrics."""
        if not self.masked:
            return {"valid": "among the candidates", "test": "among the candidates"}
        return {"valid": "masked", "test": "masked" if self.with_validation else "masked except the validation items"}


def history_rule(config: Any, dataset: Any) -> HistoryRule:
    """Return the rule of a run; a warning names a ``mask_validation`` that the data leave without effect.

    ``auto`` masks unless the data hold a user-item pair twice, because then a known item can be the right answer.

    Args:
        config: configuration of the run: mask_history, mask_validation, repeatable, the metrics.
        dataset: RecBole's data set before it is split.

    Raises:
        InputError: ``mask_history`` contradicts ``repeatable``, or RecBole's loaders cannot honour it or ``mask_validation``.
    """
    rule = _rule(config, dataset)
    if not rule.masked and not rule.with_validation and config["mask_history"] == AUTO:
        logger.warning("mask_validation=False has no effect: known items are candidates (%s)", rule.reason)
    return rule


def _rule(config: Any, dataset: Any) -> HistoryRule:
    asked, with_validation = config["mask_history"], bool(config["mask_validation"])
    sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
    foreign = _foreign_loaders(config)
    if foreign is not None:
        masked = not sequential and not config["repeatable"]
        if asked not in (AUTO, masked):
            does = "mask known items" if masked else "do not mask known items"
            raise InputError(f"mask_history={asked}: {foreign}, and they {does}; use auto")
        if not with_validation:
            raise InputError(f"mask_validation=False: {foreign}, and they do not read the key; leave it out")
        return HistoryRule(masked, foreign)
    if not sequential and config["repeatable"]:  # RecBole's key for general models; its sequential models all set it
        if asked is True:
            raise InputError("mask_history=True contradicts repeatable=True: leave one of them out")
        return HistoryRule(False, "repeatable: True", with_validation)
    if asked != AUTO:
        return HistoryRule(asked, f"mask_history: {asked}", with_validation)
    repeated = repeated_pairs(dataset)
    if repeated:
        share = f"{repeated:,} of {len(dataset.inter_feat):,} interactions repeat a user-item pair"
        return HistoryRule(False, f"auto: {share}", with_validation)
    return HistoryRule(True, "auto: no user has an item twice", with_validation)


def _foreign_loaders(config: Any) -> Optional[str]:
    """Return why RecBole's own loaders decide, or None where they do not."""
    if config["MODEL_TYPE"] not in OWN_LOADERS:
        return "RecBole's loaders for this kind of model decide"
    if config["eval_type"] == EvaluatorType.VALUE:
        return "RecBole's loaders decide for metrics of values"
    return None


def repeated_pairs(dataset: Any) -> int:
    """Return the number of interactions whose user had the item already."""
    users, items = (np.asarray(dataset.inter_feat[field]) for field in (dataset.uid_field, dataset.iid_field))
    pairs = users.astype(np.int64) * dataset.item_num + items
    return len(pairs) - len(np.unique(pairs))
