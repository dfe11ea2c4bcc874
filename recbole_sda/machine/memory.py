"""Peak memory of a part of a run in this process: resident memory on Linux, and memory of the GPU."""

from pathlib import Path
from typing import Dict, Optional, Union

import torch

GIB = 2**30


def reset_peak(device: Union[str, torch.device]) -> None:
    """Start a new measurement. Without Linux's ``/proc`` the peak is that of the whole process."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak(device: Union[str, torch.device]) -> Dict[str, float]:
    """Return the peaks since :func:`reset_peak` in GiB.

    The keys are ``resident``, left out where the system does not report it, and ``gpu``, only for a GPU.
    """
    peaks = {}
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        kibibytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
        peaks["resident"] = round(int(kibibytes) * 1024 / GIB, 3)
    except (OSError, StopIteration):
        pass
    if torch.device(device).type == "cuda":
        peaks["gpu"] = round(torch.cuda.max_memory_allocated(device) / GIB, 3)
    return peaks


def free_memory(device: Union[str, torch.device]) -> Optional[int]:
    """Return the bytes that are free on a device: of the GPU, or of main memory on Linux; None where the system does not say."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))) * 1024
    except (OSError, StopIteration):
        return None
