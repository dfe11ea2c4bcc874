"""Random streams: saved, restored, and those of a training dataloader."""

import random
from types import SimpleNamespace

import numpy as np
import torch

from recbole_sda.engine.random_state import generators, restore_rng, rng_state
from recbole_sda.io.checkpoint import from_plain, load_checkpoint, save_checkpoint


def test_random_streams_go_through_a_checkpoint(tmp_path):
    save_checkpoint(tmp_path / "c.pt", rng_state())
    expected = random.random(), np.random.rand(), torch.rand(()).item()
    restore_rng(from_plain(load_checkpoint(tmp_path / "c.pt")))
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == expected


def test_streams_of_more_gpus_than_there_are(monkeypatch):
    restored = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: restored.append((state.item(), device)))
    restore_rng({**rng_state(), "cuda": [torch.tensor(7), torch.tensor(8)]})
    assert restored == [(7, 0)]


def test_generators_of_a_loader_and_of_one_with_two_parts():
    one, other = torch.Generator(), torch.Generator()
    assert generators(SimpleNamespace(generator=one)) == [one]
    parts = {"general_dataloader": SimpleNamespace(generator=one), "kg_dataloader": SimpleNamespace(generator=other)}
    assert generators(SimpleNamespace(**parts)) == [one, other]
