import pytest
import torch
from safetensors.torch import load_file

from recbole_sda.errors import InputError
from recbole_sda.lvlm.tiny import make_tiny


def test_the_seed_decides(tiny, tmp_path):
    one, two = make_tiny("qwen3", tmp_path / "a", 0), make_tiny("qwen3", tmp_path / "b", 1)
    first, second, same = (load_file(f / "model.safetensors") for f in (one, two, tiny("qwen3")))
    assert all(torch.equal(first[k], same[k]) for k in first)
    assert any(not torch.equal(first[k], second[k]) for k in first)


def test_errors(tmp_path):
    with pytest.raises(InputError, match="family='qwen_2_vl'.*qwen2_vl"):
        make_tiny("qwen_2_vl", tmp_path / "x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("")
    with pytest.raises(InputError, match="not empty"):
        make_tiny("qwen3", tmp_path / "full")
