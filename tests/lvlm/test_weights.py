"""A backbone whose files lack weights is refused: transformers would draw them at random."""

import argparse
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from recbole_sda.errors import InputError
from recbole_sda.lvlm.backbone import load_backbone
from recbole_sda.lvlm.settings import read_settings


@pytest.fixture
def changed(tiny, tmp_path):
    """A function: family and a change of its tensors -> settings of a copy of its tiny model."""

    def make(family, change):
        folder = shutil.copytree(tiny(family), tmp_path / family)
        weights = load_file(folder / "model.safetensors")
        save_file(change(weights), folder / "model.safetensors", {"format": "pt"})
        return read_settings((), {"backbone": str(folder), "dtype": "float32"})

    return make


def without(part):
    return lambda weights: {name: tensor for name, tensor in weights.items() if part not in name}


@pytest.mark.parametrize(
    "family, part", [("qwen2_5_vl", "layers.0.mlp.up_proj"), ("qwen3", "norm"), ("clip", "text_projection")]
)
def test_a_missing_tensor_is_refused(changed, family, part):
    with pytest.raises(InputError, match=f"{family}: its files lack .*{part}"):
        load_backbone(changed(family, without(part)))


def test_files_that_fit_nothing_are_refused(changed):
    with pytest.raises(InputError, match="lack 5[0-9] of 5[0-9] tensors"):
        load_backbone(changed("qwen2_5_vl", lambda weights: {f"x.{name}": tensor for name, tensor in weights.items()}))


def test_another_shape_is_refused(changed):
    def cut(weights):
        return {name: tensor[:3].clone() if "up_proj" in name else tensor for name, tensor in weights.items()}

    with pytest.raises(InputError, match=r"have another shape: .*up_proj.weight \(3, \d+\) instead of"):
        load_backbone(changed("qwen2_5_vl", cut))


def test_weights_that_no_vector_depends_on_may_be_missing(changed, backbone):
    states = [
        b.states(b.processor.batch(["a drum"]), "text")[0]
        for b in (load_backbone(changed("qwen3", without("lm_head"))), backbone("qwen3"))
    ]
    assert torch.equal(*states)


@pytest.mark.parametrize(
    "config",
    ["[" * 5000, '{"model_type": "qwen3", "hidden_size": 0}', '{"model_type": "qwen3", "num_hidden_layers": "x"}'],
)
def test_damaged_configurations_are_named(tiny, tmp_path, config):
    folder = shutil.copytree(tiny("qwen3"), tmp_path / "damaged")
    (folder / "config.json").write_text(config)
    with pytest.raises(InputError, match="damaged"):
        load_backbone(read_settings((), {"backbone": str(folder)}))


def test_pickled_code_is_not_run(tiny, tmp_path):
    folder = shutil.copytree(tiny("qwen3"), tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": argparse.Namespace()}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="pickled cannot be loaded"):
        load_backbone(read_settings((), {"backbone": str(folder)}))
