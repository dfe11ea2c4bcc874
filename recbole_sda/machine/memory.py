"""Peak memory of a stretch of work in this process: resident memory on Linux, and that of the GPU."""

from pathlib import Path
from typing import Dict

import torch

GIB = 2**30


def reset_peak(device) -> None:
    """Start a new stretch. Without Linux's ``/proc`` the peak is that of the whole process."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak(device) -> Dict[str, float]:
    """Return the peak since :func:`reset_peak` in GiB: ``resident``, and ``gpu`` where there is one; empty where unknown."""
    found = {}
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        kibibytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
        found["resident"] = round(int(kibibytes) * 1024 / GIB, 3)
    except (OSError, StopIteration):
        pass
    if torch.device(device).type == "cuda":
        found["gpu"] = round(torch.cuda.max_memory_allocated(device) / GIB, 3)
    return found
