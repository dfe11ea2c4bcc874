"""What the checkpoints of a run must hold, checked before any of it is used."""

from pathlib import Path
from typing import Any, Dict

import torch
from torch import Tensor, nn

from recbole_sda.engine.random_state import restore_rng
from recbole_sda.errors import InputError, one_line
from recbole_sda.io.checkpoint import from_plain
from recbole_sda.io.schema import ANYTHING, COUNT, MAYBE_NAN, check_shape

WEIGHTS = {  # of each checkpoint
    "identity": {"users": str, "items": str},
    "epoch": int,
    "state_dict": {str: Tensor},
    "other_parameter": (dict, None),
    "attributes?": {str: ANYTHING},
    "numbers?": {str: (int, float)},  # of an earlier version
}
TRAINING = {  # of the last one, from which training continues
    **WEIGHTS,
    "epoch": COUNT,
    "best_epoch": int,
    "cur_step": COUNT,
    "best_valid_score": MAYBE_NAN,
    "best_valid_result": (None, {str: MAYBE_NAN}),
    "optimizers": {str: dict},
    "warmup?": (None, {"steps": [COUNT], "n_steps": COUNT}),
    "rng": {"python": list, "numpy": list, "torch": Tensor, "cuda": [Tensor]},
    "batches": [Tensor],
}


def check_training_state(path: Path, state: Dict[str, Any], optimizers: Dict[str, Any], n_batches: int) -> None:
    """Check the entries of ``last.pt`` but the states of the optimizers, see :mod:`recbole_sda.io.optimizer_state`.

    Args:
        path: of the checkpoint, for messages.
        state: its content.
        optimizers: the trainer's, by name.
        n_batches: number of generators that order its batches.

    Raises:
        InputError: an entry is missing, or has another type or length.
    """
    score = state.get("best_valid_score")
    infinite = isinstance(score, float) and abs(score) == float("inf")  # before the first validation
    check_shape({**state, **({"best_valid_score": 0.0} if infinite else {})}, TRAINING, str(path))
    for name in optimizers:
        if name not in state["optimizers"]:
            raise InputError(f"{path}: optimizers lacks {name!r}")
    if not -1 <= state["best_epoch"] <= state["epoch"]:
        raise InputError(f"{path}: best_epoch={state['best_epoch']}, expected at most epoch={state['epoch']}")
    if len(state["batches"]) != n_batches:
        raise InputError(f"{path}: batches has {len(state['batches'])} generators, expected {n_batches}")


def check_weights(path: Path, state: Dict[str, Any], model: nn.Module) -> None:
    """Refuse tensors of another kind than the model's, which torch would convert, and parameters that the model does not name."""
    own = model.state_dict()
    for name, tensor in state["state_dict"].items():
        if name in own and _kind(tensor) != _kind(own[name]):
            raise InputError(f"{path}: {name} is of the type {tensor.dtype}, expected {own[name].dtype}")
    named: Any = model
    known = set(named.other_parameter() or ())
    if set(state["other_parameter"] or ()) != known:
        raise InputError(
            f"{path}: other_parameter has {sorted(state['other_parameter'] or ())}, expected {sorted(known)}"
        )


def _kind(tensor: Tensor) -> Any:
    return tensor.is_floating_point(), tensor.is_complex(), tensor.dtype == torch.bool, tensor.layout


def check_finite(path: Path, model: nn.Module) -> None:
    """Refuse weights that are NaN or infinite: each score would be."""
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise InputError(f"{path}: {name} has values that are not finite")


def restore_streams(path: Path, state: Dict[str, Any], generators: Any) -> None:
    """Set the random streams, global ones and those of the batches, to their states in a checkpoint.

    Raises:
        InputError: a state is none of its generator.
    """
    try:
        for generator, generator_state in zip(generators, state["batches"]):
            generator.set_state(generator_state)
        restore_rng(from_plain(state["rng"]))
    except (RuntimeError, TypeError, ValueError, LookupError, OverflowError) as error:
        raise InputError(f"{path}: rng or batches is no state of a random stream ({one_line(error)})") from None
