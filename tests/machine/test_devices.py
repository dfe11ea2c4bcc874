"""The device of a run: which GPU the key names, and that the choice does not change the environment."""

import os

import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.machine.devices import choose_device


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine on which torch reports two GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize(
    "gpu_id, number", [("0", 0), (1, 1), ("1,0", 1), ([1, 0], 1), ((0, 1), 0), ("", None), ([], None)]
)
def test_the_first_number_names_the_gpu(two_gpus, gpu_id, number):
    expected = torch.device("cpu") if number is None else torch.device("cuda", number)
    assert choose_device(gpu_id, use_gpu=True) == expected
    assert choose_device(gpu_id, use_gpu=False) == torch.device("cpu")


@pytest.mark.parametrize("gpu_id, message", [("2", "sees 2 GPUs"), ("one", "expected the number"), ("-1", "expected")])
def test_other_values_are_refused(two_gpus, gpu_id, message):
    with pytest.raises(InputError, match=message):
        choose_device(gpu_id, use_gpu=True)


def test_without_gpus_the_cpu_is_used():
    assert torch.cuda.is_available() or choose_device("3", use_gpu=True) == torch.device("cpu")


def test_a_configuration_does_not_change_the_visible_gpus(build, monkeypatch):
    """Comparisons and searches read configurations before Ray counts the GPUs."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert build.config("BPR", gpu_id="1")["single_spec"] is True
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,5"


def test_a_configuration_reads_use_gpu(build, two_gpus):
    assert build.config("BPR", use_gpu=True, gpu_id="1")["device"] == torch.device("cuda", 1)
    assert build.config("BPR", use_gpu=False, gpu_id="1")["device"] == torch.device("cpu")
