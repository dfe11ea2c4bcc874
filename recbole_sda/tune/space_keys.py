"""Which keys a search may have values for."""

from typing import Any, Collection, Mapping

from recbole_sda.config.known_keys import COMMAND_KEYS, check_keys
from recbole_sda.config.run_config import DEFAULT_FIELDS, MACHINE_KEYS
from recbole_sda.engine.experiment import EVALUATION
from recbole_sda.errors import InputError

# Keys that decide which interactions there are and how they are divided.
DATA = {
    *COMMAND_KEYS, *DEFAULT_FIELDS, "data_path", "load_col", "unload_col", "alias_of_user_id", "alias_of_item_id",
    "benchmark_filename", "threshold", "rm_dup_inter", "val_interval", "filter_inter_by_user_or_item",
    "user_inter_num_interval", "item_inter_num_interval", "cold_items", "cold_items_seed",
}  # fmt: skip
# Keys that must be the same in all trials: their scores are compared. The length of cold items' rows belongs to the model.
COMMON = (EVALUATION - MACHINE_KEYS - {"cold_item_scale"}) | DATA | {"valid_metric_bigger", "seed"}


def check_space_keys(place: str, keys: Collection[str], model: str, given: Mapping[str, Any]) -> None:
    """Refuse keys of a search space that the model does not read, that are fixed, or that make trials incomparable.

    Args:
        place: where the keys are, for messages.
        keys: the keys that are searched.
        model: name of the model.
        given: keys that are the same in all trials.

    Raises:
        InputError: there is such a key.

    Example:
        >>> check_space_keys("search space", ["learning_rate"], "BPR", {})
        >>> check_space_keys("search space", ["topk"], "BPR", {})
        Traceback (most recent call last):
        recbole_sda.errors.InputError: search space: topk cannot be searched for: the scores of trials that differ in it cannot be \
compared; give one value for all trials, as --topk=VALUE
    """
    unread = check_keys(list(keys), model, place, strict=True)
    if unread:
        raise InputError(f"{place}: {model} does not read {', '.join(unread)}")
    for key in keys:
        if key in COMMON:
            raise InputError(
                f"{place}: {key} cannot be searched for: the scores of trials that differ in it cannot be compared; give one value "
                f"for all trials, as --{key}=VALUE"
            )
        if key == "base_fallback":
            raise InputError(f"{place}: {key} cannot be searched for: trials train no base model")
        if key in given or key in ("run_dir", "runs_path"):
            raise InputError(f"{place}: {key} is both given and searched for; leave one of the two out")
