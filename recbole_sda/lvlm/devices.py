"""Where the stage runs: its device, its threads, and the processes that torchrun started."""

import os
from typing import Optional

import torch

from recbole_sda import parallel
from recbole_sda.lvlm.settings import LVLMSettings


def default_device(device: Optional[str]) -> torch.device:
    """Return the device that is asked for, or a GPU where there is one; in several processes, each one's own."""
    if device:
        return torch.device(device)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def join_processes(settings: LVLMSettings) -> None:
    """Set torch's threads, and join the other processes where torchrun started several."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if parallel.world_size() > 1:
        parallel.start(settings.device != "cpu")
