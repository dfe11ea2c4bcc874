"""States of optimizers from files: compared with the parameters before torch takes them.

torch itself compares the numbers of parameters only. Its fused Adam writes outside the memory of a state with another shape.
"""

from math import isfinite
from typing import Any, Dict

import torch
from torch import Tensor

from recbole_sda.errors import InputError
from recbole_sda.io.schema import check_shape

# What an optimizer keeps of each parameter, once it has had a gradient.
ENTRIES = {
    "Adam": {"step", "exp_avg", "exp_avg_sq"},
    "AdamW": {"step", "exp_avg", "exp_avg_sq"},
    "SparseAdam": {"step", "exp_avg", "exp_avg_sq"},
    "Adagrad": {"step", "sum"},
    "RMSprop": {"step", "square_avg"},
    "SGD": set(),
}


def load_optimizer_state(optimizer: Any, state: Any, where: str) -> None:
    """Restore the state of an optimizer that was read from a file.

    Args:
        optimizer: the optimizer, with its parameters; or one with several ``parts``.
        state: as its ``state_dict()`` returns it.
        where: the file, and the place in it, for messages.

    Raises:
        InputError: groups, parameters, names, shapes or types differ, or a number is not finite.
    """
    parts = getattr(optimizer, "parts", None)
    if parts is not None:  # one optimizer for dense and one for sparse gradients
        check_shape(state, {"dense": dict, "sparse": dict}, where)
        for name, part in zip(("dense", "sparse"), parts):
            load_optimizer_state(part, state[name], f"{where}: {name}")
        return
    check_shape(state, {"state": dict, "param_groups": [{"params": [int]}]}, where)
    parameters = _check_groups(optimizer, state["param_groups"], where)
    for key, entries in state["state"].items():
        place = f"{where}: parameter {key}"
        if key not in parameters:
            raise InputError(f"{place} is none of the optimizer's")
        _check_entries(type(optimizer).__name__, entries, parameters[key], place)
    optimizer.load_state_dict(state)


def _check_groups(optimizer: torch.optim.Optimizer, groups: Any, where: str) -> Dict[int, Tensor]:
    """Return the parameter of each number in a state."""
    sizes, expected = ([len(group["params"]) for group in of] for of in (groups, optimizer.param_groups))
    if sizes != expected:
        raise InputError(f"{where}: groups of {sizes} parameters, but the optimizer has groups of {expected}")
    parameters: Dict[int, Tensor] = {}
    for number, (group, own) in enumerate(zip(groups, optimizer.param_groups), start=1):
        for key, value in own.items():
            if key == "params":
                continue
            if key not in group or not _alike(group[key], value):
                raise InputError(
                    f"{where}, group {number}: {key}={group.get(key)!r}: expected a value such as {value!r}"
                )
        parameters |= dict(zip(group["params"], own["params"]))
    if len(parameters) != sum(expected):
        raise InputError(f"{where}: a parameter occurs twice in its groups")
    return parameters


def _alike(value: Any, own: Any) -> bool:
    if isinstance(own, (list, tuple)):
        return isinstance(value, (list, tuple)) and len(value) == len(own) and all(map(_alike, value, own))
    if own is None or isinstance(own, bool) or value is None or isinstance(value, bool):
        return value is None or isinstance(value, bool)
    if isinstance(own, (int, float)):
        return isinstance(value, (int, float)) and isfinite(value)
    return isinstance(value, type(own))


def _check_entries(kind: str, entries: Any, parameter: Tensor, where: str) -> None:
    check_shape(entries, dict, where)
    missing = ENTRIES.get(kind, set()) - set(entries)
    if missing and entries:
        raise InputError(f"{where}: {min(missing)} is missing")
    for name, value in entries.items():
        if not isinstance(value, Tensor):
            if value is not None and not isinstance(value, (int, float)):
                raise InputError(f"{where}: {name}: expected a tensor or a number, found a {type(value).__name__}")
            continue
        shape = () if name == "step" else tuple(parameter.shape)
        if tuple(value.shape) != shape and not (name == "step" and value.numel() == 1):
            raise InputError(f"{where}: {name} has the shape {tuple(value.shape)}, expected {shape}")
        if value.dtype.is_floating_point != parameter.dtype.is_floating_point and not parameter.is_complex():
            raise InputError(f"{where}: {name} has the type {value.dtype}, expected {parameter.dtype}")
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"{where}: {name} has values that are not finite")
