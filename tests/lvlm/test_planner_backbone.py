"""Backbones to plan with from a configuration alone."""

import json
import shutil
from pathlib import Path

import pytest

from recbole_sda.errors import InputError
from recbole_sda.lvlm.planner import Planner
from recbole_sda.lvlm.planner_backbone import planning_backbone
from recbole_sda.lvlm.settings import read_settings

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def alone(tiny, family, tmp_path):
    """Return the configuration file of a tiny model, without its other files."""
    return shutil.copy(tiny(family) / "config.json", tmp_path / f"{family}.json")


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "clip", "siglip", "qwen3"])
def test_images_take_as_many_tokens_as_with_the_files_of_the_processor(tiny, tmp_path, family):
    keys = {"dtype": "float32", "batch_size": 2}
    full = Planner(read_settings((), {"backbone": str(tiny(family)), **keys}), 50, 20)
    part = Planner(read_settings((), {"backbone": str(alone(tiny, family, tmp_path)), **keys}), 50, 20)
    assert full.own_tokenizer and not part.own_tokenizer
    assert {p.shape for p in part.backbone.model.parameters()} == {p.shape for p in full.backbone.model.parameters()}
    assert (
        part.catalogue.modalities["text"].lengths == (48 if family == "siglip" else 20)
    ).all()  # which pads all texts
    if family in ("clip", "siglip"):
        assert (part.catalogue.modalities["image"].lengths == full.catalogue.modalities["image"].lengths).all()
    elif family != "qwen3":
        size = (300, 200)
        expected = full.backbone.processor._image_length(size)
        assert part.backbone.processor._image_length(size) == expected


def test_a_real_configuration():
    settings = read_settings((), {"backbone": str(BENCHMARKS / "qwen2_5_vl_7b.json")})
    planner = Planner(settings, 100, 128)
    plan = planner.backbone_record()
    assert plan["parameters"] == 8_292_166_656 and plan["weights"] == pytest.approx(2 * plan["parameters"], rel=1e-6)
    assert planner.adapter("lora")["parameters"] == 20_185_088  # 28 layers, rank 8, seven maps: 8 (in + out) each


def test_configurations_that_do_not_suffice(tiny, tmp_path):
    with pytest.raises(
        InputError, match="how many tokens an image takes in a gemma3 model .* put them beside config.json"
    ):
        planning_backbone(read_settings((), {"backbone": str(alone(tiny, "gemma3", tmp_path))}))
    path = alone(tiny, "qwen3_vl", tmp_path)
    values = json.loads(Path(path).read_text())
    values["image_token_id"] = "x"
    Path(path).write_text(json.dumps(values))
    with pytest.raises(InputError, match="image_token_id: expected the ids of special tokens"):
        planning_backbone(read_settings((), {"backbone": str(path)}))
    Path(path).write_text("[]")
    with pytest.raises(InputError, match="qwen3_vl.json"):
        planning_backbone(read_settings((), {"backbone": str(path)}))
    Path(path).write_text('{"model_type": "unknown"}')
    with pytest.raises(InputError, match="backbone=.*qwen3_vl.json cannot be loaded: .* model type `unknown`"):
        planning_backbone(read_settings((), {"backbone": str(path)}))
