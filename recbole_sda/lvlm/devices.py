"""Device, CPU threads and processes of the LVLM stage."""

import os
from contextlib import contextmanager
from typing import Iterator, Optional

import torch
from huggingface_hub.utils import logging as hub_logging
from transformers.utils import logging as hf_logging

from recbole_sda.errors import InputError, one_line
from recbole_sda.lvlm.settings import LVLMSettings
from recbole_sda.machine import torchrun


def default_device(device: Optional[str]) -> torch.device:
    """Return the named device; without a name, the GPU of this process, or the CPU where torch finds no GPU.

    Raises:
        InputError: torch does not know the device, or cannot use it on this machine.
    """
    if device:
        try:
            found = torch.empty(0, device=device).device
            if found.type == "meta":
                raise RuntimeError("it holds no values")
            return found
        except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
            reason = one_line(error)
            raise InputError(
                f"device={device}: expected cpu, cuda, a numbered one as cuda:1, or auto, which torch can use ({reason})"
            ) from None
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def join_processes(settings: LVLMSettings) -> None:
    """Set torch's CPU threads; if torchrun started several processes, join their group."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if torchrun.world_size() > 1:
        torchrun.start(settings.device != "cpu")


@contextmanager
def quiet() -> Iterator[None]:
    """Context manager in which transformers and its hub report errors only, without progress bars and warnings."""
    level = hf_logging.get_verbosity()
    hf_logging.set_verbosity_error()
    hub_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
