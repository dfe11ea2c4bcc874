"""Data-parallel training: what the processes that ``torchrun`` starts share and exchange."""

import atexit
import contextlib
import logging
import os
from datetime import timedelta
from typing import Any, Callable, Iterator

import torch
from torch import distributed

from recbole_sda.errors import InputError

TIMEOUT = timedelta(hours=2)  # of waiting for another process: the main one may prepare data meanwhile


def _number(name: str, default: int, least: int) -> int:
    """Return a variable of the environment that torchrun sets."""
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or int(text) < least:
        raise InputError(
            f"{name}={text[:40]!r} in the environment: expected a whole number of at least {least}, as torchrun sets it"
        )
    return int(text)


def world_size() -> int:
    """Return the number of processes that torchrun started; 1 without torchrun."""
    return _number("WORLD_SIZE", 1, 1)


def rank() -> int:
    """Return the number of this process among those that torchrun started, from 0; 0 without torchrun."""
    return _number("RANK", 0, 0)


def is_main() -> bool:
    """Return whether this is the main process, rank 0, which writes files and reports."""
    return rank() == 0


def start(use_gpu: bool) -> torch.device:
    """Join the process group, at the first call, and return the device of this process.

    All processes but the main one log errors only.
    """
    for name in ("LOCAL_RANK", "RANK", "MASTER_ADDR", "MASTER_PORT"):
        if name not in os.environ:
            raise InputError(
                f"WORLD_SIZE={world_size()}, but {name} is not set: start the command with torchrun, or unset WORLD_SIZE"
            )
    local_rank = _number("LOCAL_RANK", 0, 0)
    on_gpu = use_gpu and torch.cuda.is_available()
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=TIMEOUT)
        atexit.register(distributed.destroy_process_group)
        if not is_main():
            logging.disable(logging.WARNING)
    if on_gpu:
        torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank) if on_gpu else torch.device("cpu")


def run_on_main_process(action: Callable[[], Any]) -> Any:
    """Call ``action`` in the main process alone; return its result, or raise its error, in every process."""
    if world_size() == 1:
        return action()
    outcome: list = [None, None]
    if is_main():
        try:
            outcome[0] = action()
        except Exception as error:  # sent on, since the other processes wait for an answer
            outcome[1] = error
    distributed.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def all_gather_lists(parts: list) -> list:
    """Return the lists of all processes, concatenated in the order of their ranks."""
    if world_size() == 1:
        return parts
    gathered: list = [None] * world_size()
    distributed.all_gather_object(gathered, parts)
    return [part for of_one_process in gathered for part in of_one_process]


@contextlib.contextmanager
def unsharded_evaluation(config: Any) -> Iterator[None]:
    """Context manager in which RecBole's dataloaders give every process all samples.

    RecBole gives each process a share of the evaluation samples, with some of them twice, and averages metrics by the
    number of batches. When every process evaluates all samples, the metrics are exact.

    Args:
        config: RecBole's configuration of the run; its key ``single_spec`` is set and restored.
    """
    single = config["single_spec"]
    config["single_spec"] = True
    try:
        yield
    finally:
        config["single_spec"] = single
