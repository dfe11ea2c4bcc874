import importlib.util

import pytest
import torch
import transformers
from PIL import Image
from torch import nn

from recbole_sda.errors import InputError
from recbole_sda.lvlm.backbone import load_backbone
from recbole_sda.lvlm.devices import default_device
from recbole_sda.lvlm.pooling import pool
from recbole_sda.lvlm.settings import read_settings
from recbole_sda.lvlm.tiny import make_tiny
from recbole_sda.lvlm.tiny_models.listing import available
from recbole_sda.lvlm.tiny_models.table import FAMILIES

ENCODERS = {"florence2", "colpali", "colqwen2", "embedding_gemma2"}  # without get_decoder
AVAILABLE = available()
VLMS = [name for name in AVAILABLE if FAMILIES[name].image and name not in ENCODERS]
SIZES = [(30, 20), (90, 300), (400, 300)]
TEXTS = ["a", "a red drum", "a long text on a blue flute"]


def vectors(b, modality, how="mean"):
    """Vectors of three inputs in one batch and one by one."""
    rendered = [b.processor.render(text, modality == "image") for text in TEXTS]
    images = [Image.effect_noise(size, 60).convert("RGB") for size in SIZES] if modality == "image" else None
    with torch.no_grad():
        together = pool(*b.states(b.processor.batch(rendered, images), modality), how)
        single = [
            pool(*b.states(b.processor.batch([rendered[k]], images and [images[k]]), modality), how) for k in range(3)
        ]
    return together, torch.cat(single)


@pytest.mark.parametrize("family", AVAILABLE)
def test_a_batch_gives_what_its_inputs_give_alone(backbone, family):
    b = backbone(family)
    for modality in b.modalities:
        together, single = vectors(b, modality)
        assert together.shape == (3, b.family.dim(b.model.config)) and together.isfinite().all()
        assert torch.allclose(together, single, atol=2e-6)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "mllama", "gemma3"])
def test_the_side_of_the_padding_does_not_matter(backbone, family):
    b = backbone(family)
    right = vectors(b, "text", "last")[0]
    b.processor.processor.tokenizer.padding_side = "left"
    assert torch.allclose(vectors(b, "text", "last")[0], right, atol=2e-6)


@pytest.mark.parametrize("family", VLMS)
def test_targets_are_the_linear_layers_of_the_decoder(backbone, family):
    b = backbone(family)
    targets = b.adapter_targets()
    modules = dict(b.model.named_modules())
    decoder = [name for name, module in modules.items() if module is b.model.get_decoder()][0]
    assert targets and all(isinstance(modules[name], nn.Linear) and name.startswith(decoder) for name in targets)
    inside = [n for n, m in modules.items() if n.startswith(decoder + ".") and isinstance(m, nn.Linear)]
    assert targets == inside
    assert not any("vis" in name or "lm_head" in name for name in targets)


def test_targets_of_other_kinds(backbone):
    text, dual = backbone("qwen3"), backbone("clip")
    assert text.modalities == ("text",) and "lm_head" not in text.adapter_targets() and text.adapter_targets()
    assert {name.partition(".")[0] for name in dual.adapter_targets()} == {"text_model", "vision_model"}


def test_the_tower_stays_in_evaluation_mode(backbone):
    b = backbone("qwen2_5_vl")
    b.train_mode(b.model, True)
    assert b.model.get_decoder().training and not b.model.model.visual.training
    assert not any(p.requires_grad for p in b.model.parameters())


def test_multimodal_positions_need_the_token_types(backbone):
    """Without the processor's token types Qwen2.5-VL falls back to one-dimensional positions without a word."""
    b = backbone("qwen2_5_vl")
    text = b.processor.render("drum", True)
    batch = b.processor.batch([text], [Image.effect_noise((90, 300), 60).convert("RGB")])
    with torch.no_grad():
        whole = b.states(batch, "image")[0]
        del batch["mm_token_type_ids"]
        assert not torch.allclose(b.states(batch, "image")[0], whole, atol=1e-4)


@pytest.mark.parametrize(
    "family, loaders",
    [
        ("qwen2_5_vl", ["AutoConfig", "AutoTokenizer", "ProcessorMixin", "AutoModelForImageTextToText"]),
        ("clip", ["AutoConfig", "AutoTokenizer", "AutoImageProcessor", "AutoModel"]),
    ],
)
def test_every_part_of_a_model_is_of_the_revision(backbone, monkeypatch, family, loaders):
    calls, depth = [], []

    def record(owner):
        load = owner.from_pretrained.__func__

        def recorded(cls, *args, **kwargs):
            if not depth:  # calls by the stage, not those inside transformers
                calls.append((owner.__name__, kwargs.get("revision")))
            depth.append(owner)
            try:
                return load(cls, *args, **kwargs)
            finally:
                depth.pop()

        monkeypatch.setattr(owner, "from_pretrained", classmethod(recorded))

    for name in loaders:
        record(getattr(transformers, name))
    assert backbone(family, revision="abc").describe()["revision"] == "abc"
    assert sorted(calls) == sorted((name, "abc") for name in loaders)


def test_describe_names_the_model(backbone, tiny):
    record = backbone("qwen2_5_vl").describe()
    assert (
        record["model"] == "qwen2_5_vl" and record["model_type"] == "qwen2_5_vl" and len(record["weights_sha256"]) == 64
    )
    assert record == backbone("qwen2_5_vl").describe()


@pytest.mark.parametrize(
    "keys, message",
    [
        ({}, "backbone is missing"),
        ({"backbone": "./nowhere"}, "nowhere: the folder does not exist"),
        ({"backbone": "nobody/nothing"}, "nobody/nothing cannot be loaded"),
    ],
)
def test_missing_models(keys, message, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # its environment variable is read at import
    with pytest.raises(InputError, match=message):
        load_backbone(read_settings((), keys))


def test_folders_that_are_no_models(tmp_path):
    with pytest.raises(InputError, match="no config.json"):
        load_backbone(read_settings((), {"backbone": str(tmp_path)}))
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(InputError, match="of type 'vit'; supported are"):
        load_backbone(read_settings((), {"backbone": str(tmp_path)}))


def test_unknown_devices(tiny):
    with pytest.raises(InputError, match="device=gpu7: expected cpu, cuda"):
        load_backbone(read_settings((), {"backbone": str(tiny("qwen3")), "device": "gpu7"}))


def test_weights_that_were_cut_short(tmp_path):
    folder = make_tiny("qwen3", tmp_path / "tiny")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:100])
    with pytest.raises(InputError, match="tiny cannot be loaded: .*header"):
        load_backbone(read_settings((), {"backbone": str(folder)}))


@pytest.mark.parametrize("family", AVAILABLE)
def test_shapes_without_weights(tiny, backbone, family):
    full, shapes = backbone(family), load_backbone(read_settings((), {"backbone": str(tiny(family))}), weights=False)
    assert {p.device.type for p in shapes.model.parameters()} == {"meta"}
    assert {n: p.shape for n, p in shapes.model.named_parameters()} == {
        n: p.shape for n, p in full.model.named_parameters()
    }
    record = {k: v for k, v in full.describe().items() if k != "dtype"}
    assert record.items() <= shapes.describe().items() and shapes.adapter_targets() == full.adapter_targets()


def test_quantised_models_need_their_package(tiny):
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match="needs bitsandbytes"):
            load_backbone(read_settings((), {"backbone": str(tiny("qwen3")), "quantization": "4bit"}))
    else:
        pytest.skip("bitsandbytes is here")


def test_attention_kernels(backbone):
    batches, vectors = [], []
    for kernel in ("sdpa", "eager"):
        b = backbone("qwen2_5_vl", attention=kernel)
        assert b.model.config._attn_implementation == kernel
        batches.append(b.processor.batch([b.processor.render(text, False) for text in ("red drum", "a green flute")]))
        with torch.no_grad():
            vectors.append(b.states(batches[-1], "text")[0][:, -1])
    assert torch.allclose(*vectors, atol=1e-5)


@pytest.mark.skipif(importlib.util.find_spec("flash_attn") is not None, reason="flash-attn is installed")
def test_kernels_that_are_missing(backbone):
    with pytest.raises(InputError, match="cannot be loaded: .*[Ff]lash"):
        backbone("qwen2_5_vl", attention="flash_attention_2")


@pytest.mark.parametrize("device", ["meta", "cuda:99", "nonsense"])
def test_devices_that_cannot_be_used(device):
    with pytest.raises(InputError, match=f"device={device}: expected cpu, cuda"):
        default_device(device)
