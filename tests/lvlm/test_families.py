import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from PIL import Image

from recbole_sda.errors import InputError
from recbole_sda.lvlm import families
from recbole_sda.lvlm.adaptation import run_adaptation
from recbole_sda.lvlm.backbone import load_backbone, resolved
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.families import DualEncoder, LanguageModel, ModelFamily, family_of, register_family
from recbole_sda.lvlm.settings import read_settings
from recbole_sda.lvlm.tiny import make_tiny
from recbole_sda.lvlm.tiny_models.listing import DIFFER, LEARN, available, family_lines, proofs

DOCS = Path(__file__).resolve().parents[2] / "docs/lvlm.md"
REPRESENTATIVE = {
    "qwen2_5_vl",
    "paligemma",
    "clip",
}  # of decoders, of families fed without a chat template, of dual encoders


def pictures():
    """Noise of the same size and seed on two colours."""
    noise = Image.effect_noise((60, 40), 40).convert("RGB")
    return [Image.blend(noise, Image.new("RGB", (60, 40), colour), 0.6) for colour in ("red", "blue")]


@pytest.mark.parametrize("family", [name for name in available() if DIFFER in proofs(name)])
def test_two_images_and_two_texts_differ(backbone, tiny, family):
    b, how = backbone(family), resolved(read_settings((), {"backbone": str(tiny(family))})).pooling
    for modality in b.modalities:
        rendered = [
            b.processor.render("picture" if modality == "image" else t, modality == "image")
            for t in ("red drum", "a flute")
        ]
        batch = b.processor.batch(rendered, pictures() if modality == "image" else None)
        with torch.no_grad():
            one, two = encode(b, None, batch, modality, how)
        assert (one - two).norm() > 0.03 * one.norm(), modality


def learning(names, steps):
    return [pytest.param(name, steps, marks=[] if name in REPRESENTATIVE else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("family, steps", learning([name for name in available() if LEARN in proofs(name)], 20))
def test_adaptation_raises_the_recall_of_held_out_items(stage, tmp_path, family, steps):
    torch.set_num_threads(1)
    short = {
        "steps": steps,
        "eval_every": steps,
        "held_out": 0.4,
        "learning_rate": 1e-2,
        "dropout": 0.0,
        "loss": "infonce",
    }
    run_adaptation(stage(family, **short), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()]
    first, *_, last = [line for line in lines if "recall@10" in line]
    assert last["recall@10"] > first["recall@10"] + 0.02


def test_the_table_of_the_documentation_is_current():
    """``python -m recbole_sda lvlm families`` prints it."""
    assert "\n".join(family_lines()) in DOCS.read_text(encoding="utf-8")


def test_refused_families_say_why(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "phi4_multimodal"}')
    with pytest.raises(InputError, match="is refused: Phi-4-multimodal switches LoRA weights") as caught:
        load_backbone(read_settings((), {"backbone": str(tmp_path)}))
    assert "\n" not in str(caught.value)


def test_a_missing_torchvision_is_one_line_with_the_extra(tmp_path):
    pytest.importorskip("transformers")
    if "cohere2_vision" in available():
        pytest.skip("torchvision is here")
    with pytest.raises(InputError, match=r"needs torchvision: pip install 'recbole-sda\[torchvision\]'"):
        make_tiny("cohere2_vision", tmp_path / "tiny")
    folder = make_tiny("gemma3", tmp_path / "other")
    named = json.loads((folder / "processor_config.json").read_text())
    named["processor_class"] = "Cohere2VisionProcessor"
    named["image_processor"]["image_processor_type"] = "Cohere2VisionImageProcessor"
    (folder / "processor_config.json").write_text(json.dumps(named))
    with pytest.raises(InputError, match=r"recbole-sda\[torchvision\]") as caught:
        load_backbone(read_settings((), {"backbone": str(folder)}))
    assert "\n" not in str(caught.value)


def test_the_processor_that_the_checkpoint_names_is_used(backbone):
    b = backbone("pixtral")
    assert b.model.config.model_type == "llava" and type(b.processor.processor).__name__ == "PixtralProcessor"
    batch = b.processor.batch([b.processor.render("drum", True)], [Image.new("RGB", (56, 28))])
    tokens = b.processor.tokenizer.convert_ids_to_tokens(batch["input_ids"][0])
    first = tokens.index("[IMG]")
    assert tokens[first : first + 10] == [*["[IMG]"] * 4, "[IMG_BREAK]", *["[IMG]"] * 4, "[IMG_END]"]


def test_the_image_tokens_of_gemma3_are_those_of_its_image(backbone):
    b = backbone("gemma3")
    batch = b.processor.batch([b.processor.render("drum", True)], [Image.new("RGB", (60, 40))])
    assert b.processor.image_token_mask(batch).sum() == 4  # mm_tokens_per_image


def test_florence_reads_a_prompt_that_holds_one_of_its_task_tokens(backbone):
    p = backbone("florence2").processor
    batch = p.batch([p.render("<OCR> of a drum", True)], [Image.new("RGB", (60, 40))])
    assert p.image_token_mask(batch).sum() == 5  # 2 x 2 and one for the mean


def test_a_registered_family_is_used(tiny, monkeypatch):
    monkeypatch.setattr(families, "_registered", {})

    class Half(LanguageModel):
        def states(self, model, batch, modality):
            states, mask = super().states(model, batch, modality)
            return states / 2, mask

    settings = read_settings((), {"backbone": str(tiny("qwen3")), "dtype": "float32"})
    values = []
    for family in (None, Half()):
        if family is not None:
            register_family("qwen3", family)
        b = load_backbone(settings)
        with torch.no_grad():
            values.append(encode(b, None, b.processor.batch(["a red drum"]), "text", "mean"))
    assert torch.equal(values[0] / 2, values[1])


def test_families_of_other_packages_come_by_entry_points(monkeypatch):
    monkeypatch.setattr(families, "_registered", {})
    target = "recbole_sda.lvlm.families:DualEncoder"
    points = {"of-another-package": EntryPoint("of-another-package", target, families.GROUP)}
    points["broken"] = EntryPoint("broken", "recbole_sda.nowhere:X", families.GROUP)
    monkeypatch.setattr(families, "entry_points", lambda group, name: [points[name]] if name in points else [])
    assert isinstance(family_of("of-another-package"), DualEncoder)
    with pytest.raises(
        InputError, match="entry point recbole_sda.nowhere:X of recbole_sda.lvlm_families cannot be loaded"
    ):
        family_of("broken")


@pytest.mark.parametrize(
    "model_type, family, message", [("", ModelFamily(), "model_type=''"), ("x", ModelFamily, "instance of ModelFamily")]
)
def test_register_family_refuses(model_type, family, message):
    with pytest.raises(InputError, match=message):
        register_family(model_type, family)
