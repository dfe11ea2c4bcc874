"""The device of a process that trains alone; several processes share theirs out in :mod:`recbole_sda.machine.torchrun`."""

import torch

from recbole_sda.errors import InputError


def choose_device(gpu_id, use_gpu: bool) -> torch.device:
    """Return the device to train on.

    Args:
        gpu_id: number of a GPU among those that this process sees, which ``CUDA_VISIBLE_DEVICES`` may limit; of several with
            commas between them the first one is taken, as RecBole does. Empty: the CPU.
        use_gpu: False for the CPU, whatever there is.

    Raises:
        InputError: ``gpu_id`` is no such number, or there are fewer GPUs.
    """
    words = gpu_id if isinstance(gpu_id, (list, tuple)) else str(gpu_id).split(",")
    words = [str(word).strip() for word in words]
    if words == [""] or not words:
        return torch.device("cpu")
    if not all(word.isdecimal() for word in words):
        raise InputError(f"gpu_id={gpu_id!r}: expected the number of a GPU, or numbers with commas between them")
    if not use_gpu or not torch.cuda.is_available():
        return torch.device("cpu")
    number, there = int(words[0]), torch.cuda.device_count()
    if number >= there:
        raise InputError(f"gpu_id={gpu_id!r}: this process sees {there} GPUs, numbered from 0")
    return torch.device("cuda", number)
