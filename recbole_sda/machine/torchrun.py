"""Data-parallel training: what the processes that ``torchrun`` started have to agree on."""

import atexit
import contextlib
import logging
import os
from datetime import timedelta
from typing import Any, Callable, Iterator

import torch
from torch import distributed

TIMEOUT = timedelta(hours=2)  # of waiting for another process: the first one may prepare data meanwhile


def world_size() -> int:
    """Return how many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


def rank() -> int:
    """Return the number of this process among those that torchrun started, from 0."""
    return int(os.environ.get("RANK", 0))


def is_main() -> bool:
    """Return whether this process writes files and reports; without torchrun it does."""
    return rank() == 0


def start(use_gpu: bool) -> torch.device:
    """Join the group of processes once and return this process's device.

    Messages of all processes but the first are kept to errors.
    """
    local = int(os.environ["LOCAL_RANK"])
    on_gpu = use_gpu and torch.cuda.is_available()
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=TIMEOUT)
        atexit.register(distributed.destroy_process_group)
        if not is_main():
            logging.disable(logging.WARNING)
    if on_gpu:
        torch.cuda.set_device(local)
    return torch.device("cuda", local) if on_gpu else torch.device("cpu")


def run_on_main_process(action: Callable[[], Any]) -> Any:
    """Do something in the first process alone and return its result, or raise its error, in all of them."""
    if world_size() == 1:
        return action()
    outcome: list = [None, None]
    if is_main():
        try:
            outcome[0] = action()
        except Exception as error:  # the other processes wait for an answer
            outcome[1] = error
    distributed.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def all_gather_lists(parts: list) -> list:
    """Return the lists of all processes, one after the other."""
    if world_size() == 1:
        return parts
    gathered: list = [None] * world_size()
    distributed.all_gather_object(gathered, parts)
    return [part for of_one in gathered for part in of_one]


@contextlib.contextmanager
def unsharded_evaluation(config) -> Iterator[None]:
    """Inside, RecBole's dataloaders give every process all samples.

    RecBole gives each process a share of the evaluation samples, some of them twice, and averages metrics by numbers of
    batches; evaluated by every process, metrics are exact.
    """
    single = config["single_spec"]
    config["single_spec"] = True
    try:
        yield
    finally:
        config["single_spec"] = single
