"""The cache of tensors: read again, computed again where that fails, readable by everyone who may read the folder."""

import re

import pytest
import torch
from safetensors import SafetensorError

from recbole_sda.io import cache
from recbole_sda.io.cache import load_or_compute


def test_made_once(tmp_path):
    made = []

    def make():
        made.append(1)
        return {"x": torch.arange(3.0)}

    for _ in range(2):
        assert load_or_compute(tmp_path / "deep/a.safetensors", make)["x"].tolist() == [0, 1, 2]
    (tmp_path / "b").write_text("")
    assert made == [1]
    assert (tmp_path / "deep/a.safetensors").stat().st_mode == (tmp_path / "b").stat().st_mode
    (tmp_path / "deep/a.safetensors").write_bytes(b"cut off")
    load_or_compute(tmp_path / "deep/a.safetensors", make)
    assert made == [1, 1]


@pytest.mark.parametrize("error", [SafetensorError("disk full"), PermissionError("denied")])
@pytest.mark.parametrize("function", ["open_tensors", "save_file"])
def test_files_that_fail_cost_time_alone(tmp_path, monkeypatch, caplog, error, function):
    path = tmp_path / "a.safetensors"
    load_or_compute(path, lambda: {"x": torch.ones(1)})
    if function == "save_file":
        path.unlink()

    def fails(*args, **kwargs):
        raise error

    monkeypatch.setattr(cache, function, fails)
    assert load_or_compute(path, lambda: {"x": torch.ones(2)})["x"].tolist() == [1, 1]
    assert re.search("compute[sd] (it )?again", caplog.text) and {p.name for p in tmp_path.iterdir()} <= {path.name}
