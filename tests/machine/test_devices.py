"""The device of a run: which GPU a key names, and that choosing one leaves the environment alone."""

import os

import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.machine.devices import choose_device
from recbole_sda.machine.ray_session import on_this_worker


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine with two GPUs, as far as torch says."""
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
def test_what_is_no_gpu_is_refused(two_gpus, gpu_id, message):
    with pytest.raises(InputError, match=message):
        choose_device(gpu_id, use_gpu=True)


def test_without_gpus_everything_is_on_the_cpu():
    assert torch.cuda.is_available() or choose_device("3", use_gpu=True) == torch.device("cpu")


def test_a_configuration_leaves_the_visible_gpus_as_they_are(build, monkeypatch):
    """Ray counts them after compare and tune have read configurations."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert build.config("BPR", gpu_id="1")["single_spec"] is True
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,5"


def test_a_configuration_reads_use_gpu(build, two_gpus):
    assert build.config("BPR", use_gpu=True, gpu_id="1")["device"] == torch.device("cuda", 1)
    assert build.config("BPR", use_gpu=False, gpu_id="1")["device"] == torch.device("cpu")


def test_a_ray_worker_takes_its_own_gpu_or_none():
    assert on_this_worker(0.5) == {"gpu_id": "0", "use_gpu": True}
    assert on_this_worker(0.0) == {"use_gpu": False}
