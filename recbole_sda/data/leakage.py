"""How many training interactions of a leave-one-out split are later than its tests."""

import logging
from typing import Any, Dict, Optional

import numpy as np

from recbole_sda.config.split_checks import GLOBAL_TIME
from recbole_sda.data.global_time import FIRST_DATE

logger = logging.getLogger(__name__)


def interaction_times(config: Any, dataset: Any) -> Optional[np.ndarray]:
    """Return the times of all interactions, (n,), ascending, float32 as in RecBole.

    None without leave-one-out in time order, and where the times are no dates: positions of different users cannot be compared.
    """
    evaluation, table = config["eval_args"], dataset.inter_feat
    if config["benchmark_filename"] or "LS" not in evaluation["split"] or evaluation["order"] != "TO":
        return None
    if dataset.time_field not in table:
        return None
    times = np.sort(np.asarray(table[dataset.time_field], dtype=np.float32))
    return times if times[-1] >= FIRST_DATE else None


def later_than_tests(times: Optional[np.ndarray], valid: Any, test: Any) -> Dict[str, Any]:
    """Return and log the shares of the training interactions that are later than the first and than the median test interaction.

    Args:
        times: of all interactions, from :func:`interaction_times`.
        valid, test: dataloaders of the parts.

    Returns:
        ``training_later_than_first_test`` and ``training_later_than_median_test``; empty without times or tests.
    """
    if times is None or test is None or not len(test.dataset.inter_feat):
        return {}
    held_out = [
        np.sort(part.dataset.inter_feat[part.dataset.time_field].numpy()) for part in (valid, test) if part is not None
    ]
    tests, n_training = held_out[-1], len(times) - sum(map(len, held_out))
    shares = {}
    for name, moment in (("first", tests[0]), ("median", tests[len(tests) // 2])):
        later = len(times) - np.searchsorted(times, moment, side="right")
        later -= sum(len(part) - np.searchsorted(part, moment, side="right") for part in held_out)
        shares[f"training_later_than_{name}_test"] = round(float(later / max(n_training, 1)), 4)
    logger.info(
        "leave-one-out: %.1f %% of the training interactions are later than the median test interaction; with "
        "{split: {%s: [0.8, 0.1, 0.1]}} none is",
        100 * shares["training_later_than_median_test"],
        GLOBAL_TIME,
    )
    return shares
