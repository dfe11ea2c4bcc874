"""Keys that name columns, checked against the columns that a run loads: RecBole leaves out what is not there."""

from typing import Any, Dict, Mapping

from recbole_sda.config.key_forms import intervals
from recbole_sda.errors import InputError, nearest

NUMBERS, IDS = ("float", "float_seq"), ("token", "token_seq")
SEQUENCES = ("token_seq", "float_seq")
# Key -> the types that its columns may have.
LISTS = {
    "alias_of_user_id": IDS,
    "alias_of_item_id": IDS,
    "alias_of_entity_id": IDS,
    "alias_of_relation_id": IDS,
    "numerical_features": NUMBERS,
    "normalize_field": NUMBERS,
    "selected_features": (*NUMBERS, *IDS),
}
DICTS = {
    "seq_len": SEQUENCES,
    "threshold": ("float",),
    "discretization": NUMBERS,
    "preload_weight": ("token",),
    "val_interval": (*NUMBERS, *IDS),
}
LOADED_BY_DEFAULT = "selected_features"  # whose defaults name columns that a data set can lack


def check_field_keys(config: Any, columns: Mapping[str, Mapping[str, str]]) -> None:
    """Check the keys that name columns, and give ``val_interval`` the form that the type of each column needs.

    Args:
        config: configuration of a run.
        columns: suffix of each file that is read -> its loaded columns with their types.

    Raises:
        InputError: a column is not loaded or has the wrong type, or a value does not go with the type.
    """
    types = {name: kind for part in columns.values() for name, kind in part.items()}
    for keys in (LISTS, DICTS):
        for key, allowed in keys.items():
            for name in config[key] or ():
                _check_field(key, name, types, allowed)
    for name in (config["preload_weight"] or {}).values():
        _check_field("preload_weight", name, types, NUMBERS)
    for suffix, names in (config["unused_col"] or {}).items():
        for name in names:
            _check_field(f"unused_col: {suffix}", name, columns.get(suffix, {}), (*NUMBERS, *IDS))
    histories = f"{config['ITEM_ID_FIELD']}{config['LIST_SUFFIX']}"
    if histories in (config["seq_len"] or ()):
        raise InputError(
            f"seq_len: {histories}: RecBole keeps the first values of it; MAX_ITEM_LIST_LENGTH keeps the last ones"
        )
    if config["val_interval"]:
        config["val_interval"] = {
            name: _filter(name, value, types[name]) for name, value in config["val_interval"].items()
        }


def _check_field(key: str, name: str, types: Mapping[str, str], allowed: tuple) -> None:
    if name not in types:
        hint = "; the key names columns of the data set" if key == LOADED_BY_DEFAULT else ""
        raise InputError(
            f"{key}: no loaded column {name!r}; loaded are {', '.join(types)}, and load_col chooses them, as "
            f"{{inter: [...], item: [...]}}{hint}.{nearest(name, types)}"
        )
    if types[name] not in allowed:
        raise InputError(f"{key}: column {name!r} is of the type {types[name]}; expected {' or '.join(allowed)}")


def _filter(name: str, value: Any, kind: str) -> Any:
    """Return what ``val_interval`` has for a column: intervals of numbers, or a list of ids."""
    if kind in NUMBERS:
        return intervals(f"val_interval: {name}", value)
    if isinstance(value, str):
        raise InputError(
            f"val_interval: {name}={value!r}: the column holds ids; expected a list of those to keep, as [a, b]"
        )
    return value


def ids_numbered_apart(dataset: Any) -> Dict[str, str]:
    """Return the columns whose values are ids of users or items and that are numbered apart: column -> its id field.

    Only columns whose name holds the name of the id field count, and only where at least nine in ten of their values are ids of it.

    Args:
        dataset: RecBole's data set, read.
    """
    found = {}
    for field in (dataset.uid_field, dataset.iid_field):
        known = set(dataset.field2id_token[field][1:])
        same = {name for alias in dataset.alias.values() for name in alias}
        for name, tokens in dataset.field2id_token.items():
            if name != field and name not in same and field in name:
                own = list(tokens[1:])
                if own and sum(token in known for token in own) >= 0.9 * len(own):
                    found[name] = field
    return found
