"""Ranges of the numbers that RecBole and its models read unchecked: finite, bounded, and whole where they count something."""

import re
from typing import Any, Dict, Optional, Tuple

from recbole_sda.io.yaml import read_yaml
from recbole_sda.model.model_files import recbole_folder
from recbole_sda.validation import ANY, NOT_NEGATIVE, POSITIVE, SHARE, Range

Allowed = Tuple[Range, bool]  # and whether only whole numbers are allowed

# Keys of every run that count something; an empty value leaves the choice to RecBole or torch.
OF_EVERY_RUN: Dict[str, Allowed] = {
    "seed": (Range(0, 2**32), True),  # numpy's
    "cold_items_seed": (Range(0, 2**32), True),
    "eval_negatives_seed": (Range(0, 2**32), True),
    "threads": (Range(1, 1024, closed_high=True), True),  # torch ends the process where the system has no more
    "worker": (Range(0, 1024, closed_high=True), True),
    "epochs": (Range(1, 10**6, closed_high=True), True),
    "train_batch_size": (Range(1, 2**31), True),
    "eval_batch_size": (Range(1, 2**40), True),
    "eval_step": (Range(0, 10**6, closed_high=True), True),
    "stopping_step": (Range(0, 10**6, closed_high=True), True),
    "metric_decimal_place": (Range(1, 17, closed_high=True), True),
    "MAX_ITEM_LIST_LENGTH": (Range(1, 10**6, closed_high=True), True),
}
SIZE = Range(1, 2**20, closed_high=True)
# Parts of names of models' keys, the first that matches counts. A key that matches none takes finite numbers.
BY_NAME: Tuple[Tuple[str, Allowed], ...] = (
    (r"dropout|_prob$|^drop_|(mask|corruption)_ratio$", (SHARE, False)),
    (r"_size(_list)?$|_dim(s|ension)?$|^(in|out)_dims|heads$|^(k_interests|n_factors|rank|low_rank)$", (SIZE, True)),
    (r"^(num_layers|block_num|cross_layer_num|expert_num|num_clusters|prototype_size)$", (SIZE, True)),
    (r"^n_layers$|hop(s)?$|_iterations$|^n_iter$", (Range(0, 1000, closed_high=True), True)),
    (r"(^|_)(tau|temp|temperature)$|_eps$", (POSITIVE, False)),
    (r"^reg_weight|^reg_loss_ratio$|^initializer_range$|^std$", (NOT_NEGATIVE, False)),
)
SEQUENTIAL_LAYERS: Allowed = (Range(1, 1000, closed_high=True), True)


def check_number_ranges(base: str, is_sequential: bool, values: Dict[str, Any]) -> None:
    """Check numbers of a run in place; a whole number that is written as a float becomes an int.

    Args:
        base: name of the base model, whose file in RecBole names the model's keys.
        is_sequential: whether the model reads sequences.
        values: all values of the configuration.

    Raises:
        InputError: a number is not finite, out of its range, or is not whole and counts something.
    """
    for key, allowed in OF_EVERY_RUN.items():
        if values.get(key) is not None:
            values[key] = _checked(key, values[key], allowed)
    for key, default in _defaults(base).items():
        numbers = default if isinstance(default, list) else [default]
        if not numbers or any(isinstance(number, bool) or not isinstance(number, (int, float)) for number in numbers):
            continue
        allowed = SEQUENTIAL_LAYERS if key == "n_layers" and is_sequential else _by_name(key) or (ANY, False)
        value = values.get(key)
        if isinstance(default, list) and isinstance(value, (list, tuple)):
            values[key] = [_checked(key, part, allowed) for part in value]
        elif value is not None:
            values[key] = _checked(key, value, allowed)


def _defaults(base: str) -> Dict[str, Any]:
    path = recbole_folder() / f"properties/model/{base}.yaml"
    return read_yaml(path) if path.is_file() else {}


def _by_name(key: str) -> Optional[Allowed]:
    return next((allowed for pattern, allowed in BY_NAME if re.search(pattern, key)), None)


def _checked(key: str, value: Any, allowed: Allowed) -> Any:
    interval, whole = allowed
    number = interval.check(key, value, whole)
    return number if whole else value
