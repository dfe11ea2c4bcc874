import json
import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from recbole_sda.errors import InputError
from recbole_sda.features.store import FeatureStore
from recbole_sda.lvlm.api import extract
from recbole_sda.lvlm.backbone import load_backbone, resolved
from recbole_sda.lvlm.embedders import IMAGE_PROMPT, embedder_table, entry_of, read_embedder
from recbole_sda.lvlm.encode import encode
from recbole_sda.lvlm.pooling import truncate
from recbole_sda.lvlm.settings import read_settings
from recbole_sda.lvlm.tiny import make_tiny
from recbole_sda.lvlm.tiny_models.encoders import sentence_transformer

TEXTS = ["a red drum", "a long text on a blue flute", "horn"]


def settings_of(folder, **keys):
    return resolved(read_settings((), {"backbone": str(folder), "dtype": "float32", **keys}))


def vectors(settings, texts=TEXTS, images=None):
    b = load_backbone(settings)
    modality = "text" if images is None else "image"
    rendered = [b.processor.render(text, images is not None) for text in texts]
    with torch.no_grad():
        encoded = encode(b, None, b.processor.batch(rendered, images), modality, settings.pooling)
    return truncate(encoded, None, settings.l2)


@pytest.mark.parametrize(
    "family, finish",
    [
        ("embeddinggemma", None),
        ("bge", None),
        ("qwen3", sentence_transformer("lasttoken", "passage: ")),
        ("gemma3", sentence_transformer("lasttoken", "Represent: ")),
        ("gemma3", sentence_transformer("lasttoken", "Represent the user's input.", messages=True)),
    ],
)
def test_vectors_are_those_of_sentence_transformers(tmp_path, family, finish):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    torch.set_num_threads(1)
    folder = make_tiny(family, tmp_path / family)
    if finish is not None:
        finish(folder)
    settings = settings_of(folder)
    prompt = json.loads((folder / "config_sentence_transformers.json").read_text())["prompts"]["document"]
    assert settings.instruction == prompt and settings.l2
    expected = sentence_transformers.SentenceTransformer(str(folder), device="cpu").encode(
        TEXTS, prompt=prompt or None, convert_to_tensor=True
    )
    assert torch.allclose(vectors(settings), expected, atol=1e-5)


def test_the_table_is_used_by_the_name_of_a_model_without_a_configuration(tmp_path):
    folder = make_tiny("qwen3_vl", tmp_path / "Qwen3-VL-Embedding-2B")
    s = settings_of(folder)
    assert (s.pooling, s.l2, s.instruction, s.image_prompt) == ("last", True, "Represent the user's input.", "")
    p = load_backbone(s).processor
    assert p.render("drum", False) == (
        "<|im_start|>system\nRepresent the user's input.<|im_end|>\n<|im_start|>user\ndrum<|im_end|>\n<|im_start|>assistant\n"
    )
    assert p.render("", True).count("<|image_pad|>") == 1
    image = [Image.new("RGB", (60, 60), "red")]
    assert torch.allclose(vectors(s, [""], image).norm(dim=1), torch.ones(1))
    plain = settings_of(folder, embedder="none")
    assert (plain.pooling, plain.l2, plain.instruction, plain.image_prompt) == ("mean", False, "", IMAGE_PROMPT)
    own = settings_of(folder, pooling="mean", l2=False, instruction="Describe: ", image_prompt="A picture")
    assert (own.pooling, own.l2, own.instruction, own.image_prompt) == ("mean", False, "Describe: ", "A picture")


def test_templates_of_the_table_replace_the_chat_template(tmp_path):
    p = load_backbone(settings_of(make_tiny("qwen2_vl", tmp_path / "gme-Qwen2-VL-2B-Instruct"))).processor
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    end = "<|im_end|>\n<|im_start|>assistant\n<|endoftext|>"
    assert p.render("drum {x}", False) == system + "drum {x}" + end
    assert p.render("", True) == system + "<|vision_start|><|image_pad|><|vision_end|>" + end
    batch = p.batch([p.render("drum", False)])
    assert batch["input_ids"][0, -1] == p.tokenizer.convert_tokens_to_ids("<|endoftext|>")
    length = p.length(p.render("", True), (60, 60))
    assert length == p.batch([p.render("", True)], [Image.new("RGB", (60, 60))])["input_ids"].shape[1]


def test_the_manifest_records_how_vectors_were_made(tmp_path, catalogue_file):
    folder = make_tiny("embeddinggemma", tmp_path / "model")
    out = extract(backbone=folder, items=catalogue_file, out=tmp_path / "store", workers=0, dtype="float32")
    m = FeatureStore(out).manifest
    assert (m["pooling"], m["l2"], m["instruction"]) == ("mean", True, "title: none | text: ")
    assert m["modalities"]["text"]["dim"] == 24 and len(m["encoder"]["dense_sha256"]) == 1


def test_changed_weights_of_a_dense_layer_are_another_model(tmp_path):
    folder = make_tiny("embeddinggemma", tmp_path / "model")
    first = load_backbone(settings_of(folder)).describe()
    path = folder / "2_Dense/model.safetensors"
    save_file({name: 2 * value for name, value in load_file(path).items()}, path)
    assert load_backbone(settings_of(folder)).describe() != first


def test_every_entry_of_the_table_is_valid():
    for name, entry in embedder_table().items():
        settings = read_settings((), {"pooling": entry["pooling"], "l2": entry["l2"]})
        assert settings.pooling == entry["pooling"]
        for model in entry["names"]:
            assert entry_of(f"Someone/{model.upper()}-x") == name
        for template in (entry.get("text_template", ""), entry.get("image_template", "")):
            template.format(instruction="", prompt="", image="")


@pytest.mark.parametrize(
    "change, message",
    [
        (("1_Pooling/config.json", {"pooling_mode": "max"}), "its pooling is max; read here are cls, mean, lasttoken"),
        (("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]}), "its pooling is cls, mean; "),
        (("1_Pooling/config.json", {"pooling_mode": "mean", "include_prompt": False}), "include_prompt is false"),
        (
            ("modules.json", [{"type": "a.Transformer", "path": ""}, {"type": "a.WordWeights", "path": "1"}]),
            "WordWeights",
        ),
        (("modules.json", []), "its modules are none"),
        (("modules.json", {}), "expected a list"),
        (("2_Dense/config.json", {"in_features": 7, "out_features": 3}), "in_features=7, but vectors have 32 values"),
        (("2_Dense/config.json", {"in_features": 32, "out_features": 3}), "expected the weights of a layer of 32 x 3"),
        (
            ("2_Dense/config.json", {"in_features": 32, "out_features": 24, "activation_function": "os.system"}),
            "activation_function='system': allowed are Identity",
        ),
        (("config_sentence_transformers.json", {"prompts": {"document": 3}}), "prompts: document: 3: expected a text"),
    ],
)
def test_files_that_cannot_be_used(tiny, tmp_path, change, message):
    folder = shutil.copytree(tiny("embeddinggemma"), tmp_path / "model")
    (folder / change[0]).write_text(json.dumps(change[1]))
    with pytest.raises(InputError, match=message) as caught:
        load_backbone(settings_of(folder))
    assert "\n" not in str(caught.value)


def test_unknown_entries_are_refused(tiny):
    with pytest.raises(
        InputError, match="embedder='qwen3-vl-embeding': allowed are none, .* Did you mean 'qwen3-vl-embedding'"
    ):
        read_embedder(read_settings((), {"backbone": str(tiny("qwen3")), "embedder": "qwen3-vl-embeding"}))


def test_vectors_of_images_are_those_of_sentence_transformers(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    torch.set_num_threads(1)
    folder = make_tiny("gemma3", tmp_path / "tiny")
    sentence_transformer("lasttoken", "Represent it.", messages=True)(folder)
    images = [Image.effect_noise((56, 56), 60).convert("RGB"), Image.new("RGB", (56, 56), "red")]
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    expected = model.encode(images, prompt="Represent it.", convert_to_tensor=True)
    assert torch.allclose(vectors(settings_of(folder, image_prompt=""), ["", ""], images), expected, atol=1e-5)
