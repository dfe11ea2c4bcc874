"""The device of a single-process run. :mod:`recbole_sda.machine.torchrun` chooses those of several processes."""

from typing import Sequence, Union

import torch

from recbole_sda.errors import InputError


def choose_device(gpu_id: Union[int, str, Sequence[Union[int, str]]], use_gpu: bool) -> torch.device:
    """Return the device to train on.

    Args:
        gpu_id: number of a GPU among those that this process sees, which ``CUDA_VISIBLE_DEVICES`` may limit. Of several
            numbers, separated by commas or in a list, the first one is used, as in RecBole. Empty: the CPU.
        use_gpu: False for the CPU, even if there are GPUs.

    Raises:
        InputError: ``gpu_id`` is not such a number, or this process sees fewer GPUs.
    """
    parts = gpu_id if isinstance(gpu_id, (list, tuple)) else str(gpu_id).split(",")
    numbers = [str(part).strip() for part in parts]
    if numbers == [""] or not numbers:
        return torch.device("cpu")
    if not all(number.isdecimal() for number in numbers):
        raise InputError(f"gpu_id={gpu_id!r}: expected the number of a GPU, or numbers separated by commas")
    if not use_gpu or not torch.cuda.is_available():
        return torch.device("cpu")
    first, n_gpus = int(numbers[0]), torch.cuda.device_count()
    if first >= n_gpus:
        raise InputError(f"gpu_id={gpu_id!r}: this process sees {n_gpus} GPUs, numbered from 0")
    return torch.device("cuda", first)
